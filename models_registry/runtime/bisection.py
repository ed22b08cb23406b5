"""Answer many requests with one call, and find the one that spoils it by halving.

A request that makes the model raise fails alone; the others are answered by the halves without it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models_registry import errors
from models_registry.errors import DomainError
from models_registry.runtime.predictor import Predictor
from models_registry.runtime.signature import Tensors

Outcome = Tensors | DomainError


def predict_each(predictor: Predictor, requests: Sequence[Tensors], *, timeout: float) -> list[Outcome]:
    """Return each request's outputs or its error, in order; never raises. `timeout` is seconds for each call.

    A batch whose process died, ran out of memory or out of time is not halved, because each further try could cost
    as much again: all its requests get that error, and the caller runs them alone to learn which one it was.
    """
    if not requests:
        return []
    try:
        inputs = requests[0] if len(requests) == 1 else _stack(requests)
    except (ValueError, KeyError):  # free dimensions differ: these requests cannot share a call
        return [outcome for request in requests for outcome in predict_each(predictor, [request], timeout=timeout)]
    try:
        return _split(predictor.predict(inputs, timeout=timeout), requests)
    except (errors.ModelRaised, errors.UnusableOutput) as error:
        if len(requests) == 1:
            return [error]
    except DomainError as error:
        return [error] * len(requests)
    except Exception as error:
        return [errors.ModelRaised(f"{type(error).__name__}: {error}")] * len(requests)
    half = len(requests) // 2
    return [
        *predict_each(predictor, requests[:half], timeout=timeout),
        *predict_each(predictor, requests[half:], timeout=timeout),
    ]


def rows_of(tensors: Tensors) -> int:
    """Rows of a request or an answer: the length of axis 0 of any of its tensors."""
    return len(next(iter(tensors.values())))


def _stack(requests: Sequence[Tensors]) -> Tensors:
    return {name: np.concatenate([request[name] for request in requests]) for name in requests[0]}


def _split(outputs: Tensors, requests: Sequence[Tensors]) -> list[Outcome]:
    """Cut the outputs along axis 0 as the requests were stacked. Raises `UnusableOutput` on a wrong length."""
    total = sum(rows_of(request) for request in requests)
    for name, output in outputs.items():
        if output.ndim == 0 or len(output) != total:
            raise errors.UnusableOutput(f"output {name} has shape {list(output.shape)} for {total} rows")
    if len(requests) == 1:
        return [outputs]
    answers: list[Outcome] = []
    start = 0
    for request in requests:
        stop = start + rows_of(request)
        answers.append({name: output[start:stop] for name, output in outputs.items()})
        start = stop
    return answers
