"""`python -m tests.chaos.services.launcher DEFECT manage|celery ARGUMENT …`: a real process, one promise broken.

What `make stack` starts as `manage.py …` or `python -m celery …` is started through this in seeded runs. No setting of
the product switches a defect on; they exist in the test tree alone.
"""

from __future__ import annotations

import os
import sys

from serving_site.supervisor import PROCESS_ENVIRONMENT, Application


def main(defect: str, program: str, arguments: list[str]) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "serving_site.settings")
    sys.argv = [program, *arguments]
    if program == "manage" and arguments == ["serve"]:
        _serve(defect)
    _break(defect)
    if program == "celery":
        from celery.__main__ import main as celery

        sys.exit(celery())
    from django.core.management import execute_from_command_line

    execute_from_command_line(["manage.py", *arguments])


def _serve(defect: str) -> None:
    """As `supervisor.enter`, with the defect put into each worker process before its threads start."""
    from serving_site import supervisor

    if os.environ.get("SERVING_ROLE") != "web":
        command = [sys.executable, "-m", "tests.chaos.services.launcher", defect, "manage", "serve"]
        os.execve(sys.executable, command, {**os.environ, **PROCESS_ENVIRONMENT, **supervisor._metrics()})

    def load() -> Application:
        _break(defect)
        return supervisor.load_application()

    sys.exit(supervisor.serve(load))


def _break(defect: str) -> None:
    import django

    django.setup()
    import serving_site.celery  # noqa: F401 - its app is current before a task is looked up
    from tests.chaos.services.defects import DEFECTS

    DEFECTS[defect].install()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
