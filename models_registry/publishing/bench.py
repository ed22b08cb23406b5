"""The child's workbench: one artefact opened, and what each step of publishing found out about it.

Every function here is called by name from the parent, runs in the sandbox, and returns plain values. What a step
needs from an earlier one is made again if the child was replaced in between.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from models_registry import errors
from models_registry.publishing import archives, comparison, examples, formats
from models_registry.runtime.signature import Signature, Tensors

MEASURED_ROWS = (1, 8, 64)
_MEASURING_S = 0.15


@dataclass(frozen=True, slots=True)
class Job:
    """What is published: the artefact's verified file and format, and the person's sample rows as CSV."""

    path: Path
    format: str
    table: Path | None = None


class _Bench:
    """One job's intermediate results, each made when first asked for."""

    def __init__(self, job: Job) -> None:
        self.job = job

    @cached_property
    def opened(self) -> tuple[Any, list[str]]:
        from models_registry.runtime import sklearn

        return sklearn.open_model(self.job.path)

    @cached_property
    def described(self) -> tuple[Signature, Any]:
        from models_registry.publishing import graphs, signatures

        table = self.job.table.read_bytes() if self.job.table else None
        if self.job.format == formats.SKOPS:
            return signatures.of_estimator(self.opened[0], table)
        classes = graphs.classes_of(graphs.read(self.job.path))
        return signatures.of_graph(self.job.path.read_bytes(), classes, table)

    def native(self, signature: Signature) -> Callable[[Tensors], Tensors]:
        from models_registry.runtime import sklearn

        return sklearn.answering(self.opened[0], signature)


_benches: dict[Job, _Bench] = {}

#: Jobs whose signature was narrowed once: it is not tried again.
_narrowed: set[Job] = set()


def _bench(job: Job) -> _Bench:
    return _benches.setdefault(job, _Bench(job))


def forget(job: Job) -> None:
    """Drop what a job left in this child."""
    _benches.pop(job, None)
    _narrowed.discard(job)
    gc.collect()


def contents(job: Job) -> str:
    """Check what is in the file before anything is made of it; return a sentence."""
    if job.format == formats.SKOPS:
        found = archives.check(job.path)
        told = _bench(job).opened[1]
        return "; ".join([found, "every type is allowed", *told])
    from models_registry.publishing import graphs

    return graphs.check(job.path)


def signature(job: Job) -> tuple[Signature, str]:
    """The signature, and where the sample rows come from."""
    found, sample = _bench(job).described
    return found, sample.source


def precisions(job: Job) -> tuple[str, ...]:
    """The kinds of numbers to compile with, in the order to try them."""
    from models_registry.publishing import compilation

    return compilation.precisions(_bench(job).opened[0])


def compiled(job: Job, precision: str) -> tuple[bytes, Signature, comparison.Parity]:
    """Compile with this kind of numbers and compare with the native model on the sample rows."""
    from models_registry.publishing import compilation, folding, signatures
    from models_registry.runtime.onnx import OnnxPredictor

    bench = _bench(job)
    found, sample = bench.described
    plain = compilation.compile_model(bench.opened[0], found, precision)
    natively = bench.native(found)(sample.inputs)
    for graph in filter(None, (folding.fold(plain), plain)):
        try:
            predictor = OnnxPredictor(graph, found, missing_text=compilation.MISSING_TEXT)
        except errors.ModelRaised:
            if graph is plain:
                raise
            continue
        answers = predictor.predict(sample.inputs, timeout=60)
        parity = comparison.compare(natively, answers)
        if parity.holds:
            break
    if not parity.holds and job not in _narrowed:
        less = signatures.without_gaps(found, sample, comparison.wrong_rows(natively, answers))
        if less is not None:
            bench.described = less
            _narrowed.add(job)
            return compiled(job, precision)
    return graph, signatures.retyped(found, answers, sample.rows), parity


def folded(job: Job) -> tuple[bytes, comparison.Parity] | None:
    """An ONNX artefact from fewer nodes, compared with itself on the sample rows; None where it has none to spare, or
    nobody knows plausible rows."""
    from models_registry.publishing import folding, samples
    from models_registry.runtime.onnx import OnnxPredictor

    found, sample = _bench(job).described
    artefact = job.path.read_bytes()
    graph = folding.fold(artefact)
    if graph is not None and job.table is None:
        features = folding.features_of(artefact)
        sample = samples.synthesized(features, found.inputs) if found.inputs[0].shape == (-1, len(features)) else None
    if graph is None or sample is None:
        return None
    try:
        predictor = OnnxPredictor(graph, found)
    except errors.ModelRaised:
        return None
    before = OnnxPredictor(artefact, found).predict(sample.inputs, timeout=60)
    return graph, comparison.compare(before, predictor.predict(sample.inputs, timeout=60))


def missing_text() -> str:
    """The sentinel that compiled graphs know for missing text."""
    from models_registry.publishing import compilation

    return compilation.MISSING_TEXT


def golden(job: Job, served: Signature, graph: bytes | None, expected: list[dict[str, Any]]) -> str:
    """Run the golden examples with what will be served; return a sentence."""
    return examples.run(expected, served, _predict_with(job, served, graph))


def cost(job: Job, served: Signature, graph: bytes | None) -> tuple[dict[int, float], int]:
    """Seconds per call by number of rows, and resident bytes, of what will be served.

    Raises `UnusableOutput` when the sample's answers cannot be served.
    """
    before = _resident()
    predict = _predict_with(job, served, graph)
    sample = _bench(job).described[1]
    seconds = {rows: _seconds(predict, sample.take(rows)) for rows in MEASURED_ROWS}
    memory = _resident() if graph is None else max(_resident() - before, 3 * len(graph) + 2**20)
    return seconds, memory


def versions(format_: str) -> dict[str, str]:
    """Versions of the libraries that had a hand in it."""
    import onnxruntime

    from models_registry.publishing import graphs

    found = {**graphs.VERSIONS, "onnxruntime": onnxruntime.__version__}
    if format_ == formats.SKOPS:
        from models_registry.publishing import compilation
        from models_registry.runtime import sklearn

        found |= sklearn.VERSIONS | compilation.VERSIONS
    return found


def _predict_with(job: Job, served: Signature, graph: bytes | None) -> Callable[[Tensors], Tensors]:
    from models_registry.runtime.onnx import OnnxPredictor

    if graph is None and job.format == formats.SKOPS:
        return _bench(job).native(served)
    text = missing_text() if job.format == formats.SKOPS else ""
    predictor = OnnxPredictor(graph if graph is not None else job.path.read_bytes(), served, missing_text=text)
    return lambda inputs: predictor.predict(inputs, timeout=60)


def _seconds(predict: Callable[[Tensors], Tensors], inputs: Tensors) -> float:
    """The median of as many calls as fit in a moment, at least three, after one that warms up."""
    for name, output in predict(inputs).items():
        if output.dtype.kind == "f" and (output != output).all():
            raise errors.UnusableOutput(f"output {name} is NaN for every sample row")
    taken: list[float] = []
    until = time.perf_counter() + _MEASURING_S
    while len(taken) < 3 or (time.perf_counter() < until and len(taken) < 200):
        started = time.perf_counter()
        predict(inputs)
        taken.append(time.perf_counter() - started)
    return sorted(taken)[len(taken) // 2]


def _resident() -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
