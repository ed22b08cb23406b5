"""`manage.py keep`: the keeper of the services mode, in the foreground; any number may run, one per host at least."""

from __future__ import annotations

import signal
import threading
import time
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from monitoring import spooling, stores
from serving_site import memory, processes, worker

#: Seconds between two looks at the spool.
LOOK_S = 0.5


class Command(BaseCommand):
    help = "Nudge, end and record what went missing, and record this host's spool, until Ctrl-C or SIGTERM."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--until-recorded",
            action="store_true",
            help="end once this host's spool is in the record store: for the folder of a server that is gone",
        )

    def handle(self, *args: Any, until_recorded: bool = False, **options: Any) -> None:
        if settings.EMBEDDED:
            raise CommandError("An embedded server keeps its own predictions; set RABBITMQ_URL to run a keeper.")
        ended = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: ended.set())
        worker.serve_metrics()
        processes.start(processes.keeper)
        stores.open_store()  # imports its client
        memory.settle()
        self.stdout.write("The keeper runs.")
        self.stdout.flush()
        while not ended.wait(LOOK_S) and not (until_recorded and is_recorded()):
            pass
        # The server of this host ends before its keeper: what it has answered until then is recorded here and now.
        limit = time.monotonic() + settings.SERVING["DRAIN_S"] / 2
        while not is_recorded() and time.monotonic() < limit:
            time.sleep(LOOK_S)
        processes.stop()
        if until_recorded and not is_recorded():
            raise CommandError("The spool is not empty yet; run it again.")


def is_recorded() -> bool:
    """Is everything that this host's servers answered in the record store?"""
    return spooling.waiting().calls == 0
