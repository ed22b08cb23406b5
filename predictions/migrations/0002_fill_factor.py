from typing import Any

from django.db import migrations

#: Percent of a page that inserts fill: a row is updated in place (HOT) two times while it runs, if its page has room.
FILL = 60


def leave_room(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(f"ALTER TABLE predictions_prediction SET (fillfactor = {FILL})")


def fill(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("ALTER TABLE predictions_prediction RESET (fillfactor)")


class Migration(migrations.Migration):
    dependencies = [("predictions", "0001_initial")]

    operations = [migrations.RunPython(leave_room, fill)]
