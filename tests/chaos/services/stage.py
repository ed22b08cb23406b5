"""`python -m tests.chaos.services.stage`: fills the database of PostgreSQL and DATA_DIR as `tests.chaos.stage` does."""

from __future__ import annotations

import json

from tests.chaos import stage

HARD_LIMIT_S = 2.0
#: Every claim and every terminal transition, written by the database itself.
HISTORY = """
CREATE TABLE chaos_history (id uuid NOT NULL, status text NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE FUNCTION chaos_note() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN INSERT INTO chaos_history (id, status) VALUES (NEW.id, NEW.status); RETURN NULL; END $$;
CREATE TRIGGER chaos_updated AFTER UPDATE OF status ON predictions_prediction
FOR EACH ROW WHEN (NEW.status <> 'starting') EXECUTE FUNCTION chaos_note();
CREATE TRIGGER chaos_inserted AFTER INSERT ON predictions_prediction
FOR EACH ROW WHEN (NEW.status <> 'starting') EXECUTE FUNCTION chaos_note();
"""


def main() -> None:
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    from serving_site import env
    from serving_site.management.commands.prepare import ensure_credentials

    call_command("migrate", verbosity=0)
    ensure_credentials()
    facts = {"keys": stage.keys(), "numbers": stage.publish(HARD_LIMIT_S)}
    with connection.cursor() as cursor:
        cursor.execute(HISTORY)
    (env.DATA_DIR / "stage.json").write_text(json.dumps(facts))


if __name__ == "__main__":
    main()
