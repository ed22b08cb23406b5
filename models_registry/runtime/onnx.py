"""Compiled models: one onnxruntime session that many threads share. It releases the GIL while it runs."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnxruntime

from models_registry import errors
from models_registry.runtime.signature import Signature, Tensors, TensorSpec

#: What skl2onnx calls a classifier's outputs, and what our signatures call them.
OUTPUT_NAMES: Mapping[str, str] = {"output_label": "label", "output_probability": "probabilities"}

#: onnxruntime's words for element types → numpy's; text is `object`.
ELEMENTS: Mapping[str, Any] = {
    "tensor(bool)": np.bool_,
    "tensor(uint8)": np.uint8,
    "tensor(uint16)": np.uint16,
    "tensor(uint32)": np.uint32,
    "tensor(uint64)": np.uint64,
    "tensor(int8)": np.int8,
    "tensor(int16)": np.int16,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(float16)": np.float16,
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(string)": np.object_,
}


def open_session(model: bytes) -> onnxruntime.InferenceSession:
    """A session on one thread without arenas: memory stays what the model needs. Raises `ModelRaised`."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no base class but Exception
        raise errors.ModelRaised(f"onnxruntime cannot load the model: {first_line(error)}") from error


def first_line(error: BaseException) -> str:
    """The first line of an error's text, at most 500 characters: what a person reads in a report."""
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:500]


class _Watch:
    """Ends runs that pass their time: onnxruntime looks at a run's `terminate` flag between two nodes."""

    INTERVAL = 0.05

    def __init__(self) -> None:
        #: Runs that are on, and when each has to end.
        self.runs: dict[onnxruntime.RunOptions, float] = {}
        self.looks = False
        self._lock = threading.Lock()

    def start(self) -> None:
        """Begin to look, in a thread of its own; a child process begins without one."""
        with self._lock:
            if not self.looks:
                threading.Thread(target=self._look, name="onnx-watch", daemon=True).start()
                self.looks = True

    def forget(self) -> None:
        """In a forked child, which has neither the thread nor the runs, and perhaps a lock that nobody will release."""
        self.runs, self.looks, self._lock = {}, False, threading.Lock()

    def _look(self) -> None:
        while True:
            now = time.monotonic()
            for options, deadline in self.runs.copy().items():
                if now >= deadline:
                    options.terminate = True
            time.sleep(self.INTERVAL)


_watch = _Watch()
os.register_at_fork(after_in_child=_watch.forget)


class OnnxPredictor:
    """A compiled version in this process.

    The graph's inputs carry the signature's names; its outputs do too, but for `OUTPUT_NAMES`. Missing text becomes
    `missing_text`, the sentinel the graph was compiled with; numbers become the graph's own type.
    """

    def __init__(self, model: bytes, signature: Signature, *, missing_text: str = "") -> None:
        self.signature = signature
        self._missing_text = missing_text
        self._session = open_session(model)
        # The session's own `run` asks each call again what the signature has answered: a third of a small model's time.
        self._run = self._session._sess.run
        self._size = len(model)
        elements = {node.name: ELEMENTS.get(node.type) for node in self._session.get_inputs()}
        self._inputs = [(spec.name, spec, _dtype(elements.get(spec.name))) for spec in signature.inputs]
        graph = {OUTPUT_NAMES.get(node.name, node.name): node.name for node in self._session.get_outputs()}
        missing = [spec.name for spec in signature.outputs if spec.name not in graph]
        missing += [name for name, _, element in self._inputs if element is None]
        if missing or len(elements) != len(self._inputs):
            raise errors.ModelRaised(f"the graph does not fit the signature: {', '.join(missing) or list(elements)}")
        self._outputs = [(spec, spec.name, len(spec.shape)) for spec in signature.outputs]
        self._output_names = [graph[spec.name] for spec in signature.outputs]

    def predict(self, inputs: Tensors, *, timeout: float) -> Tensors:
        feed = {}
        for name, spec, element in self._inputs:
            value = inputs[name]
            fits = value.dtype == element and not spec.nullable
            feed[name] = value if fits else self._fit(value, spec, element)
        rows = len(value)
        options = onnxruntime.RunOptions()
        if not _watch.looks:
            _watch.start()
        runs = _watch.runs
        runs[options] = time.monotonic() + timeout
        try:
            values = self._run(self._output_names, feed, options)
        except Exception as error:
            if options.terminate:
                raise errors.PredictionTimeout(f"the model took longer than {timeout:g} s") from error
            raise errors.ModelRaised(first_line(error)) from error
        finally:
            del runs[options]
        outputs = {}
        for (spec, name, rank), value in zip(self._outputs, values, strict=True):
            fits = type(value) is np.ndarray and value.ndim == rank and len(value) == rows
            outputs[name] = value if fits else _shaped(value, spec, rows)
        return outputs

    def memory_bytes(self) -> int:
        """An estimate: the parsed graph and its prepared kernels take about three times the file."""
        return 3 * self._size + (1 << 20)

    def close(self) -> None:
        """Nothing to stop: the session goes with its last reference, after the runs that still use it."""

    def _fit(self, value: np.ndarray[Any, Any], spec: TensorSpec, element: Any) -> np.ndarray[Any, Any]:
        if value.dtype is _DOUBLE and element is _SINGLE and np.vdot(value, value) <= _SAFE:
            # No element is too large, nor all of them together: what watches for one takes longer than casting.
            small: np.ndarray[Any, Any] = value.astype(element)
            return small
        if element.kind == "O":
            return _filled(value, self._missing_text) if spec.nullable else value
        if value.dtype == element:
            return value
        try:
            with np.errstate(over="raise"):
                fitted: np.ndarray[Any, Any] = value.astype(element)
                return fitted
        except FloatingPointError as error:
            raise errors.ModelRaised(
                f"a value of {spec.name} is too large for {np.dtype(element).name}, the compiled model's type"
            ) from error


#: numpy has one object for each of its own types in this machine's order.
_DOUBLE, _SINGLE = np.dtype(np.float64), np.dtype(np.float32)
#: Sum of squares of doubles that are singles too.
_SAFE = float(np.finfo(np.float32).max) ** 2


def _dtype(element: Any) -> np.dtype[Any] | None:
    return None if element is None else np.dtype(element)


def _filled(value: np.ndarray[Any, Any], missing_text: str) -> np.ndarray[Any, Any]:
    flat = [missing_text if text is None else text for text in value.ravel()]
    return np.array(flat, dtype=object).reshape(value.shape)


def _shaped(value: Any, spec: TensorSpec, rows: int) -> np.ndarray[Any, Any]:
    """Give an output the rank its spec has: a column of one becomes a plain vector. Raises `UnusableOutput`."""
    if not isinstance(value, np.ndarray):
        raise errors.UnusableOutput(f"output {spec.name} is a {type(value).__name__}, not a tensor")
    tensor: np.ndarray[Any, Any] = value
    if tensor.ndim != len(spec.shape) and tensor.size == rows and len(spec.shape) == 1:
        tensor = tensor.reshape(rows)
    if tensor.ndim == 0 or len(tensor) != rows:
        raise errors.UnusableOutput(f"output {spec.name} has shape {list(tensor.shape)} for {rows} rows")
    return tensor
