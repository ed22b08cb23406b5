"""`manage.py stack`: the services mode on one machine, in the foreground: private servers and every process."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from serving_site import banner, env
from serving_site.data_lock import DataFolderInUse, DataLock


class Command(BaseCommand):
    help = (
        "Start PostgreSQL, RabbitMQ, Redis, Elasticsearch, what watches them and every process; Ctrl-C ends them all."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        said = "send a few demo calls per second, so that pages and dashboards have something to show"
        parser.add_argument("--traffic", action="store_true", default=env.TRAFFIC, help=said)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            from serving_site.stack import abandoned
            from serving_site.stack.running import WATCH_EVERY_S, Stack
            from serving_site.stack.server import ServerMissing
        except ImportError as error:
            raise CommandError(f"{error.name} is not installed; run `make install-dev`.") from error
        names = ("DATABASE_URL", "RABBITMQ_URL", "REDIS_URL", "REDIS_RESULTS_URL", "ELASTICSEARCH_URL")
        given = {name: getattr(env, name) for name in names if getattr(env, name)}
        environment = _environment(**options)
        stack = Stack(env.DATA_DIR / "stack", port=env.PORT, given=given, environment=environment, say=self._say)
        _take(DataLock(stack.root), stack.url)
        # A terminal that is closed ends it too.
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.default_int_handler)
        try:
            if left := abandoned.end(stack.root):
                self._say(f"Ended {left} processes that the stack before, which was killed, had left.")
            abandoned.mark(stack.root)
            seconds = stack.start()
            self._say(banner.text(stack.url, stack.credentials() or None, seconds))
            while True:
                time.sleep(WATCH_EVERY_S)
                stack.watch()
        except KeyboardInterrupt:
            self._say("Ending everything …")
        except ServerMissing as error:
            raise CommandError(str(error)) from error
        finally:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            stack.stop()
        self._say("Everything has ended.")

    def _say(self, what: str) -> None:
        self.stdout.write(what)
        self.stdout.flush()


def _take(lock: DataLock, url: str) -> None:
    """For as long as this process lives: two stacks on one folder would end each other's servers."""
    try:
        lock.take()
    except DataFolderInUse as refusal:
        raise CommandError(str(refusal)) from refusal
    lock.tell(pid=os.getpid(), url=url)


def _environment(*, traffic: bool, **_: Any) -> dict[str, str]:
    """The web process sends the traffic: it is the one that is called."""
    return {"TRAFFIC": "1" if traffic else "0"}
