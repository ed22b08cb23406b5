"""The order of the steps from a stored artefact to a version that is ready or rejected."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from models_registry import artifacts, errors
from models_registry.models import Alias, ModelVersion, RegisteredModel
from models_registry.publishing import bench, formats
from models_registry.publishing.comparison import Parity
from models_registry.publishing.report import Report
from models_registry.runtime.sandbox import Limits, Sandbox
from models_registry.runtime.signature import Signature

logger = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Served:
    """What will answer: `graph` is the compiled model (None: the artefact itself), `reason` why it is not compiled."""

    signature: Signature
    runtime: str
    graph: bytes | None = None
    reason: str = ""


class _Child:
    """The sandbox with one job and what is left of the time to publish it."""

    def __init__(self, sandbox: Sandbox, job: bench.Job) -> None:
        self.job = job
        self._sandbox = sandbox
        self._deadline = time.monotonic() + settings.SERVING["PUBLISH_LIMIT_S"]

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise errors.PredictionTimeout("publishing took too long")
        return self._sandbox.call(function, *args, timeout=left)


def open_sandbox() -> Sandbox:
    """A child under the limits of publishing; close it after use."""
    limits = settings.SERVING
    return Sandbox(Limits(memory_bytes=limits["CHILD_MEMORY_LIMIT"], cpu_s=int(limits["PUBLISH_LIMIT_S"]) + 1))


def publish(version_id: UUID, progress: Callable[[str], None], *, sandbox: Sandbox | None = None) -> ModelVersion:
    """See `models_registry.publishing.publish`."""
    version = ModelVersion.objects.select_related("model__project").get(pk=version_id)
    if version.status != ModelVersion.Status.PUBLISHING:
        return version
    report = Report(version.report.get("requested", {}), lambda step: _tell(version, step, progress))
    with contextlib.ExitStack() as stack:
        if sandbox is None:
            sandbox = stack.enter_context(contextlib.closing(open_sandbox()))
        try:
            served = _run_steps(version, report, sandbox)
            served_digest = _stored(served, version)
        except errors.DomainError as error:
            # Why is in its report: the words may quote a sample row.
            logger.info("version %s rejected: %s", version, error.code, extra={"action": "version_rejected"})
            return _reject(version, report, error.message)
    return _make_ready(version, report, served, served_digest)


def _run_steps(version: ModelVersion, report: Report, sandbox: Sandbox) -> _Served:
    with report.step("digest") as step:
        path = _patiently(lambda: artifacts.local_path(version.digest))
        table = _patiently(lambda: artifacts.local_path(version.sample_digest)) if version.sample_digest else None
        step.detail = f"SHA-256 {version.digest[:12]}…, {version.size_bytes} bytes"
    child = _Child(sandbox, bench.Job(path, version.format, table))
    try:
        with report.step("contents") as step:
            step.detail = child.call(bench.contents, child.job)
            report.note(libraries=child.call(bench.versions, version.format))
        with report.step("signature") as step:
            signature, source = child.call(bench.signature, child.job)
            step.detail = f"{_words(signature)}; {source}"
        served = _choose_runtime(version, report, child, signature)
        _check_examples(version, report, child, served)
        _measure(report, child, served)
    finally:
        with contextlib.suppress(errors.DomainError):
            sandbox.call(bench.forget, child.job, timeout=10.0)
    return served


def _choose_runtime(version: ModelVersion, report: Report, child: _Child, signature: Signature) -> _Served:
    """Compiled where it compiles and agrees with the native model; else native, with the reason."""
    if version.format == formats.ONNX:
        return _Served(signature, ModelVersion.Runtime.ONNX, graph=_folded(report, child))
    reasons: list[str] = []
    parity = None
    with report.step("compilation") as step:
        for precision in child.call(bench.precisions, child.job):
            try:
                graph, compiled, parity = child.call(bench.compiled, child.job, precision)
            except errors.DomainError as error:
                reasons.append(f"{precision}: {error.message[:300]}")
                continue
            step.detail = f"compiled with {precision}, {len(graph)} bytes"
            if compiled.inputs != signature.inputs:
                step.detail += "; takes no missing values, which the compiled model would answer otherwise"
            if parity.holds:
                break
            reasons.append(f"{precision}: {parity.sentence()}")
        if parity is None:
            step.fail("; ".join(reasons))
    with report.step("parity") as step:
        if parity is None:
            step.skip("there is nothing to compare")
        elif parity.holds:
            step.detail = parity.sentence()
        else:
            step.fail("; ".join(reasons))
    if parity is not None:
        report.note(parity=_noted(parity))
    if parity is None or not parity.holds:
        what = "it does not compile to ONNX" if parity is None else "the compiled model answers otherwise"
        return _Served(signature, ModelVersion.Runtime.NATIVE, reason=f"Runs native: {what} ({'; '.join(reasons)})")
    if any(spec.datatype == "BYTES" and spec.nullable for spec in compiled.inputs):
        report.note(missing_text=child.call(bench.missing_text))
    return _Served(compiled, ModelVersion.Runtime.ONNX, graph=graph)


def _folded(report: Report, child: _Child) -> bytes | None:
    """An ONNX artefact from fewer nodes, where it then answers the same; None: as it is."""
    with report.step("compilation") as step:
        found = child.call(bench.folded, child.job)
        if found is None:
            step.skip("the artefact is ONNX itself")
        else:
            step.detail = f"folded a scaler or a norm into its linear model, {len(found[0])} bytes"
    with report.step("parity") as step:
        if found is None:
            step.skip("the artefact is ONNX itself")
            return None
        graph, parity = found
        if not parity.holds:
            step.skip(f"the artefact is served as it is: folded, {parity.sentence()}")
            return None
        step.detail = parity.sentence()
    report.note(parity=_noted(parity))
    return bytes(graph)


def _check_examples(version: ModelVersion, report: Report, child: _Child, served: _Served) -> None:
    with report.step("examples") as step:
        expected = version.report.get("requested", {}).get("examples")
        if expected:
            step.detail = child.call(bench.golden, child.job, served.signature, served.graph, expected)
        else:
            step.skip("none were given")


def _measure(report: Report, child: _Child, served: _Served) -> None:
    with report.step("cost") as step:
        seconds, memory = child.call(bench.cost, child.job, served.signature, served.graph)
        micros = {rows: round(value * 1e6, 1) for rows, value in seconds.items()}
        step.detail = ", ".join(f"{rows} rows {value:g} µs" for rows, value in micros.items())
        step.detail += f", {memory / 2**20:.1f} MiB"
        report.note(
            cost_us={str(rows): value for rows, value in micros.items()},
            row_cost_s=[round(seconds[rows], 7) for rows in bench.MEASURED_ROWS],
            memory_bytes=memory,
        )


def _tell(version: ModelVersion, step: str, progress: Callable[[str], None]) -> None:
    # An UPDATE, not save(): progress is no change of the registry that every process has to notice.
    ModelVersion.objects.filter(pk=version.pk).update(progress=step)
    progress(step)


def _reject(version: ModelVersion, report: Report, reason: str) -> ModelVersion:
    with transaction.atomic():
        row = _locked(version)
        if row.status == ModelVersion.Status.PUBLISHING:
            row.status, row.reason, row.progress = ModelVersion.Status.REJECTED, reason[:4000], ""
            row.report = report.to_json()
            row.save()
    return row


def _stored(served: _Served, version: ModelVersion) -> str:
    """The digest of what will be loaded: the compiled graph, stored now, or the artefact itself."""
    graph = served.graph
    return version.digest if graph is None else _patiently(lambda: artifacts.put(graph))[0]


def _patiently(work: Callable[[], T]) -> T:
    """Try again while the artefact store is away, for as long as publishing may take: a model is not at fault."""
    until = time.monotonic() + settings.SERVING["PUBLISH_LIMIT_S"]
    while True:
        try:
            return work()
        except errors.Unavailable as error:
            pause = error.retry_after or 1
            if time.monotonic() + pause > until:
                raise
            time.sleep(pause)


def _make_ready(version: ModelVersion, report: Report, served: _Served, served_digest: str) -> ModelVersion:
    with transaction.atomic():
        row = _locked(version)
        if row.status != ModelVersion.Status.PUBLISHING:
            return row
        # Read again under the lock: the alias may have been asked for meanwhile.
        requested = row.report.get("requested", {})
        row.report = {**report.to_json(), "requested": requested}
        row.status, row.reason, row.progress = ModelVersion.Status.READY, served.reason[:4000], ""
        row.runtime, row.served_digest = served.runtime, served_digest
        row.signature, row.ready_at = served.signature.to_json(), timezone.now()
        row.save()
        if requested.get("alias"):
            Alias.point(row, requested["alias"], who=row.created_by, why=requested.get("why", ""))
    return row


def _locked(version: ModelVersion) -> ModelVersion:
    RegisteredModel.lock(version.model_id)
    return ModelVersion.objects.select_related("model__project").get(pk=version.pk)


def _words(signature: Signature) -> str:
    inputs = ", ".join(
        f"{spec.name} {spec.datatype}{list(spec.shape)}{' nullable' if spec.nullable else ''}"
        for spec in signature.inputs[:12]
    )
    more = f" and {len(signature.inputs) - 12} more" if len(signature.inputs) > 12 else ""
    outputs = ", ".join(f"{spec.name} {spec.datatype}{list(spec.shape)}" for spec in signature.outputs)
    return f"{inputs}{more} → {outputs}"


def _noted(parity: Parity) -> dict[str, Any]:
    worst = parity.worst if parity.worst < float("inf") else None
    return {"rows": parity.rows, "labels_differ": parity.labels_differ, "worst_relative": worst}
