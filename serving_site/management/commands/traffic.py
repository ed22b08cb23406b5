"""`manage.py traffic`: steady mixed traffic against a running server, in the foreground."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from serving_site import banner, env

#: Seconds between two looks at whether whoever started it is still there.
FOLLOW_S = 0.5


class Command(BaseCommand):
    help = "Send a few calls per second, good and bad, to the server, so that its pages have something to show."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--url", default=env.URL, help="the server's address (this data folder's)")
        parser.add_argument("--per-second", type=float, default=4.0, help="mean rate, at most 50 (4)")
        parser.add_argument("--seconds", type=float, default=0.0, help="how long; 0: until Ctrl-C or SIGTERM")
        parser.add_argument("--follow", action="store_true", help="end when the process that started this one does")

    def handle(self, *args: Any, **options: Any) -> None:
        from serving_site import traffic

        if not 0 < options["per_second"] <= traffic.MOST_PER_SECOND:
            raise CommandError(f"--per-second lies above 0 and at most at {traffic.MOST_PER_SECOND:g}")
        known = banner.credentials(env)
        if known is None:
            raise CommandError(f"{env.DATA_DIR} has no demo credentials; start a server on it first.")
        ended = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: ended.set())
        client = traffic.Client(options["url"], str(known["api_key"]))
        run = traffic.Traffic(client, per_second=options["per_second"], ended=ended)
        parent = os.getppid() if options["follow"] else 0
        threading.Thread(target=_watch, args=(ended, parent, options["seconds"]), daemon=True).start()
        run.run()


def _watch(ended: threading.Event, parent: int, seconds: float) -> None:
    """End after `seconds`, or with the parent: a killed server leaves nothing behind."""
    waited = 0.0
    while not ended.wait(FOLLOW_S):
        waited += FOLLOW_S
        if (seconds and waited >= seconds) or (parent and os.getppid() != parent):
            ended.set()
