"""The peers, each in its best documented configuration and a virtual environment of its own."""

from __future__ import annotations

from tests.bench.contenders import Contender


def everybody() -> list[Contender]:
    from tests.bench.peers.triton import Triton

    return [Triton(onnx=True), Triton(onnx=False)]
