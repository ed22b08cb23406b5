from django.db import migrations, models

from monitoring.index_beside import AddIndexBeside

COLUMNS = ["version", "status", "door", "error_code", "total_ms", "accepted_at", "request_id"]


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("monitoring", "0002_record_indexes_cover_pages")]

    operations = [
        AddIndexBeside("recordrow", models.Index(fields=["project", "id", "model", *COLUMNS], name="record_page")),
        AddIndexBeside(
            "recordrow", models.Index(fields=["project", "model", "id", *COLUMNS], name="record_model_page")
        ),
        AddIndexBeside("recordrow", models.Index(fields=["project", "status", "id"], name="record_status_page")),
        migrations.RemoveIndex("recordrow", "record_seen"),
        migrations.RemoveIndex("recordrow", "record_model_seen"),
        migrations.RemoveIndex("recordrow", "record_status"),
    ]
