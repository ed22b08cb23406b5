"""`python -m tests.chaos.defective_server DEFECT`: the real server with one promise broken on purpose.

The checker's green is worth something only because these turn it red. They exist in the test tree alone: no setting
of the product switches them on.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from serving_site import supervisor

#: Seconds between the early nudge and the commit: the order is the defect, this makes it show within 200 calls.
HEAD_START_S = 0.05


def none() -> None:
    """The control: the very same launcher, nothing broken."""


def publish_before_commit() -> None:
    """The nudge leaves before its row exists, and no keeper sends another."""
    from predictions.queued import ledger, nudges, submission, sweeps

    accept = ledger.accept

    def nudge_then_accept(drafts: Sequence[Any]) -> Any:
        nudges.PUBLISHER.hint([_nudge_of_draft(draft) for draft in drafts])
        time.sleep(HEAD_START_S)
        return accept(drafts)

    class Silent:
        Nudge = nudges.Nudge

        class PUBLISHER:
            @staticmethod
            def hint(_: Any) -> None:
                """The hint after the commit, which this defect does not send."""

    ledger.accept = nudge_then_accept
    submission.nudges = Silent  # type: ignore[assignment]
    sweeps.move_due = lambda: []


def _nudge_of_draft(draft: Any) -> Any:
    from predictions.queued import nudges

    return nudges.Nudge(draft.id, draft.version_id, draft.pool, draft.priority, draft.rows, len(draft.input))


def version_resolved_in_the_worker() -> None:
    """The worker asks who is champion now instead of running the version that was pinned at acceptance."""
    from models_registry import snapshot
    from predictions.queued import ledger

    claim = ledger.claim

    def claim_for_the_champion(ids: Sequence[Any], **limits: Any) -> list[Any]:
        entries = snapshot.current().entries
        found = []
        for row in claim(ids, **limits):
            entry = entries[(row.project, row.model)]
            found.append(replace(row, version_id=entry.versions[entry.aliases["champion"]].id))
        return found

    ledger.claim = claim_for_the_champion


DEFECTS: dict[str, Callable[[], None]] = {
    "none": none,
    "publish_before_commit": publish_before_commit,
    "version_resolved_in_the_worker": version_resolved_in_the_worker,
}


def load_with(defect: str) -> supervisor.Application:
    """In the worker process: the application's modules first, then the defect, then the threads."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "serving_site.settings")
    import django

    django.setup()
    DEFECTS[defect]()
    return supervisor.load_application()


if __name__ == "__main__":
    sys.exit(supervisor.serve(lambda: load_with(sys.argv[1])))
