from django.db import migrations, models

from monitoring.index_beside import AddIndexBeside

COLUMNS = ["version", "status", "door", "error_code", "total_ms", "accepted_at", "request_id"]


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
