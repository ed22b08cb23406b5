"""`manage.py keep`: the keeper of the services mode, in the foreground; any number may run, one per host at least."""

from __future__ import annotations

import signal
import threading
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from serving_site import processes, worker


class Command(BaseCommand):
    help = "Nudge, end and record what went missing, and record this host's spool, until Ctrl-C or SIGTERM."

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.EMBEDDED:
            raise CommandError("An embedded server keeps its own predictions; set RABBITMQ_URL to run a keeper.")
        ended = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: ended.set())
        worker.serve_metrics()
        processes.start(processes.keeper)
        self.stdout.write("The keeper runs.")
        self.stdout.flush()
        while not ended.wait(1.0):
            pass
        processes.stop()
