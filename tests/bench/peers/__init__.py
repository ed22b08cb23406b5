"""The peers, each in its best documented configuration and a virtual environment of its own."""

from __future__ import annotations

from tests.bench.contenders import Contender


def everybody() -> list[Contender]:
    """All that answer at once; FastAPI + Celery, which answers later, is `peers.fastapi_celery`."""
    from tests.bench.peers.bentoml import BentoML
    from tests.bench.peers.litserve import LitServe
    from tests.bench.peers.mlflow import MLflow
    from tests.bench.peers.mlserver import MLServer
    from tests.bench.peers.triton import Triton

    return [
        Triton(onnx=True),
        Triton(onnx=False),
        MLServer(onnx=True),
        MLServer(onnx=False),
        BentoML(),
        LitServe(),
        MLflow(),
    ]
