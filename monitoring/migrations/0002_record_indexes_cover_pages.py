from typing import Any

from django.db import migrations, models

COLUMNS = ["version", "status", "door", "error_code", "total_ms", "accepted_at", "request_id"]


class AddIndexBeside(migrations.AddIndex):
    """Adds an index while the version before goes on writing: concurrently where the database knows how."""

    def database_forwards(self, app_label: Any, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        model = to_state.apps.get_model(app_label, self.model_name)
        if self.allow_migrate_model(schema_editor.connection.alias, model):
            beside = {"concurrently": True} if schema_editor.connection.vendor == "postgresql" else {}
            schema_editor.add_index(model, self.index, **beside)


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("monitoring", "0001_initial")]

    operations = [
        AddIndexBeside("recordrow", models.Index(fields=["project", "-id", "model", *COLUMNS], name="record_seen")),
        AddIndexBeside(
            "recordrow", models.Index(fields=["project", "model", "-id", *COLUMNS], name="record_model_seen")
        ),
        migrations.RemoveIndex("recordrow", "record_project"),
        migrations.RemoveIndex("recordrow", "record_model"),
    ]
