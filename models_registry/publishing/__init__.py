"""Artefact in → checked, compiled, compared → ready, or rejected with a reason a person can act on.

The modules beside this one that open a model file run in a child process that has no Django; so this file imports
the Django side only when it is called.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, BinaryIO
from uuid import UUID

if TYPE_CHECKING:
    from models_registry.models import ModelVersion, RegisteredModel
    from models_registry.runtime.sandbox import Sandbox


def submit(
    model: RegisteredModel,
    file: BinaryIO | bytes,
    *,
    filename: str,
    sample: BinaryIO | bytes | None = None,
    examples: Any = None,
    alias: str | None = None,
    who: str,
    why: str = "",
    enqueue: bool = True,
) -> ModelVersion:
    """Store the artefact and make its row; a task publishes it after the commit unless `enqueue` is False.

    The same bytes and configuration again return the version there is, unless that was rejected. `file` and `sample`
    (a CSV) are bytes or seekable binary files; `examples` a list of {"instance", "output"}; `alias` is pointed at the
    version when it becomes ready. Raises `FormatNotAllowed`, `TooLarge`, `InvalidInput`.
    """
    from models_registry.publishing import submission

    return submission.submit(
        model,
        file,
        filename=filename,
        sample=sample,
        examples=examples,
        alias=alias,
        who=who,
        why=why,
        enqueue=enqueue,
    )


def publish(
    version_id: UUID, progress: Callable[[str], None] = lambda step: None, *, sandbox: Sandbox | None = None
) -> ModelVersion:
    """Run the steps on a version that is `publishing`; return it `ready` or `rejected`, never raise for the model."""
    from models_registry.publishing import publication

    return publication.publish(version_id, progress, sandbox=sandbox)


def resume_interrupted(*, older_s: float = 0.0) -> int:
    """Enqueue again the versions whose publishing was cut short: at the start of an embedded server all of them, by a
    keeper those that began so many seconds ago."""
    from models_registry.publishing import submission

    return submission.resume_interrupted(older_s=older_s)
