"""`manage.py rebuild_record_indices`: give stored records the mapping of this release, while they are in use."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from monitoring.stores.base import StoreUnavailable


class Command(BaseCommand):
    help = "Rebuild Elasticsearch's record indices under the mapping of this release; searches and writes go on."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("day", nargs="*", help="days to rebuild, like 2026.03.01; all when none is named")

    def handle(self, *, day: list[str], **_: Any) -> None:
        if not hasattr(settings, "ELASTICSEARCH"):
            raise CommandError("records live in the database here: there is no index to rebuild", returncode=1)
        from monitoring.stores import cluster, elastic_rebuild

        try:
            store = cluster.store()
            store.prepare()
            client, layout = store.client, store.layout
            for index in elastic_rebuild.discard_unfinished(client, layout):
                self.stdout.write(f"{index}: left by an interrupted rebuild, deleted")
            names = elastic_rebuild.names(client, layout)
            unknown = [one for one in day if not any(name.endswith(f"-{one}") for name in names)]
            if unknown:
                raise CommandError(f"there is no index of {', '.join(unknown)}", returncode=1)
            for name in names:
                if not day or any(name.endswith(f"-{one}") for one in day):
                    elastic_rebuild.rebuild(client, name, told=self._tell)
        except StoreUnavailable as error:
            raise CommandError(str(error), returncode=1) from error

    def _tell(self, moved: Any) -> None:
        if moved.is_done:
            self.stdout.write(f"{moved.name}: {moved.copied:,} records in {moved.into}")
        else:
            self.stderr.write(f"{moved.name}: {moved.copied * 100 // max(1, moved.total)} %")
