"""Triton: the tritonserver binary inside the `nvidia-pytriton` wheel with its python backend and dynamic batching."""

from __future__ import annotations

import shutil
import sysconfig
from functools import partial
from pathlib import Path

from serving_site.stack.server import free_port
from tests.bench import programs
from tests.bench.contenders import Call, Contender, oip_call
from tests.bench.launched import Launched
from tests.bench.machine import SERVER_CORE, WORKSHOP
from tests.bench.peers.process import FILES, fitted
from tests.bench.works import FOREST, IRIS, SHAPES, WIDE, WIDE_BINARY, Work, model_file

_CONFIG = """name: "{model}"
backend: "python"
max_batch_size: {batch}
input [ {{ name: "x" data_type: TYPE_FP32 dims: [{columns}] }} ]
output [ {{ name: "probabilities" data_type: TYPE_FP32 dims: [{classes}] }} ]
dynamic_batching {{ }}
instance_group [ {{ kind: KIND_CPU count: 1 }} ]
parameters {{ key: "file" value: {{ string_value: "{file}" }} }}
"""


class Triton(Contender):
    """`onnx`: onnxruntime with the same file as everybody; else scikit-learn."""

    works = frozenset(["iris", "forest", "wide", "wide, binary"])

    def __init__(self, *, onnx: bool) -> None:
        self.name = "triton-onnx" if onnx else "triton-sklearn"
        self.label = "Triton, ONNX inside" if onnx else "Triton, scikit-learn inside"
        self.runtime = "onnxruntime in the python backend" if onnx else "scikit-learn in the python backend"
        self.switched = "metrics, dynamic batching; no authentication, no records"
        self._onnx = onnx
        self._port = free_port()
        self._launched: Launched | None = None

    def start(self) -> None:
        folder = WORKSHOP / "run" / self.name
        shutil.rmtree(folder, ignore_errors=True)
        venv = programs.environment("triton")
        packages = venv / "lib" / f"python{sysconfig.get_python_version()}" / "site-packages"
        server = packages / "pytriton" / "tritonserver"
        stub = server / "python_backend_stubs" / sysconfig.get_python_version() / "triton_python_backend_stub"
        if not (server / "backends" / "python" / stub.name).exists():
            shutil.copy(stub, server / "backends" / "python")
        self._write_repository(folder)
        command = [
            str(server / "bin" / "tritonserver"),
            *("--model-repository", str(folder / "models"), "--backend-directory", str(server / "backends")),
            *("--http-port", str(self._port), "--grpc-port", str(free_port()), "--metrics-port", str(free_port())),
            *("--backend-config", f"python,shm-region-prefix-name={self.name}"),
        ]
        libraries = f"{packages / 'nvidia_pytriton.libs'}:{sysconfig.get_config_var('LIBDIR')}"
        environment = {"LD_LIBRARY_PATH": libraries, "BENCH_PACKAGES": str(packages), "OMP_NUM_THREADS": "1"}
        environment["PYTHONHOME"] = sysconfig.get_config_var("prefix")
        self._launched = Launched(self.name, command, core=SERVER_CORE, folder=folder, environment=environment)
        for work in (IRIS, FOREST, WIDE, WIDE_BINARY):
            self._launched.wait_until(partial(self.is_right, work))

    def _write_repository(self, folder: Path) -> None:
        for model in ("iris", "forest", "wide"):
            place = folder / "models" / model / "1"
            place.mkdir(parents=True)
            shutil.copy(FILES / "triton_model.py", place / "model.py")
            columns, classes = SHAPES[model]
            file = model_file(model) if self._onnx else fitted("triton") / f"{model}.joblib"
            batch = 1024 if model == "wide" else 128
            text = _CONFIG.format(model=model, batch=batch, columns=columns, classes=classes, file=file)
            (place.parent / "config.pbtxt").write_text(text)

    def stop(self) -> None:
        if self._launched is not None:
            self._launched.stop()

    def pids(self) -> list[int]:
        return [self._launched.process.pid] if self._launched is not None else []

    def call(self, work: Work) -> Call:
        return oip_call(f"http://127.0.0.1:{self._port}/v2/models/{work.model}/infer", work)
