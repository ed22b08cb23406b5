"""What the Open Inference Protocol says about a server and its models."""

from __future__ import annotations

from typing import Any

from models_registry.routing import Entry, Version
from models_registry.runtime.signature import TensorSpec
from predictions.protocols.oip import EXTENSIONS

NAME = "serving-blueprint"


def server(version: str) -> dict[str, Any]:
    return {"name": NAME, "version": version, "extensions": list(EXTENSIONS)}


def model(entry: Entry, version: Version) -> dict[str, Any]:
    """Metadata of one version; `versions` are all that answer."""
    signature = version.signature
    classes = ",".join(map(str, signature.classes))
    return {
        "name": version.model,
        "versions": [str(number) for number in sorted(entry.versions)],
        "platform": version.platform,
        "inputs": [_tensor(spec) for spec in signature.inputs],
        "outputs": [_tensor(spec, classes) for spec in signature.outputs],
    }


def _tensor(spec: TensorSpec, classes: str = "") -> dict[str, Any]:
    properties = {"nullable": "true"} if spec.nullable else {}
    if spec.columns:
        properties["columns"] = ",".join(spec.columns)
    if classes and len(spec.shape) == 2:
        properties["classes"] = classes
    described: dict[str, Any] = {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}
    return {**described, "properties": properties} if properties else described
