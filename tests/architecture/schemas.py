"""What Kubernetes and the operators would say of an object: built-in kinds by the schemas of `kubernetes-validate`,
CRDs by the pinned npm packages of `crds/package-lock.json`.

    python -m tests.architecture.schemas     puts the packages below var/downloads, where missing
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from kubernetes_validate import utils
from referencing import Registry, Resource

from serving_site.stack import install
from tests.running import ROOT

Manifest = dict[str, Any]
CRDS = Path(__file__).parent / "crds"
#: The oldest release that the manifests are for: the first with native sidecars switched on by default.
KUBERNETES = "1.29.0"
INSTALL_S, VALIDATE_S = 240, 30


class PackagesMissing(Exception):
    """The CRD packages are not here and could not be had; the message has the end of what npm said."""


def faults(manifests: Sequence[Manifest]) -> list[str]:
    """What is wrong with each of these objects, as sentences that begin with its kind and name.

    An object whose kind nobody has a schema of is a fault. Raises `PackagesMissing` and `ServerMissing` (no npm).
    """
    custom = [manifest for manifest in manifests if not _is_built_in(manifest)]
    found = {id(manifest): _of_built_in(manifest) for manifest in manifests if _is_built_in(manifest)}
    found |= {id(manifest): said for manifest, said in zip(custom, _of_crds(custom), strict=True)}
    return [
        f"{manifest['kind']} {manifest['metadata']['name']}: {sentence}"
        for manifest in manifests
        for sentence in found[id(manifest)]
    ]


def packages() -> Path:
    """The folder with the `node_modules` of the lock file, made where missing. Raises as `faults` does."""
    lock = (CRDS / "package-lock.json").read_bytes()
    folder = ROOT / "var" / "downloads" / "crds" / hashlib.sha256(lock).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            _fetch(folder)
            (folder / "complete").touch()
    return folder


def _fetch(folder: Path) -> None:
    install.ensure("npm")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(CRDS / name, folder)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=INSTALL_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as error:
        raise PackagesMissing(f"npm did not end within {INSTALL_S} s") from error
    if done.returncode:
        raise PackagesMissing(done.stderr[-1000:])


def _is_built_in(manifest: Manifest) -> bool:
    """Groups of Kubernetes itself have no dot, or end in its own domain."""
    group = manifest["apiVersion"].rpartition("/")[0]
    return "." not in group or group.endswith(".k8s.io")


def _of_built_in(manifest: Manifest) -> list[str]:
    group, _, version = manifest["apiVersion"].rpartition("/")
    name = "-".join(filter(None, (manifest["kind"].lower(), group.partition(".")[0], version)))
    try:
        schema = _read(f"{name}.json")
    except FileNotFoundError:
        return [f"no schema of {manifest['apiVersion']} {manifest['kind']}"]
    validator = Draft202012Validator(schema, registry=_definitions())
    return [f"/{'/'.join(map(str, error.path))}: {error.message}" for error in validator.iter_errors(manifest)]


def _read(name: str) -> Any:
    return utils.schema_contents(f"kubernetes-json-schema/v{KUBERNETES}-local-strict/{name}", KUBERNETES)


@cache
def _definitions() -> Registry:
    """What every schema refers to: megabytes that the library's own `validate` reads for each object."""
    return Resource.from_contents(_read("_definitions.json")) @ Registry()


def _of_crds(manifests: Sequence[Manifest]) -> list[list[str]]:
    """Lists of sentences in the order of the objects."""
    if not manifests:
        return []
    command = ["node", str(CRDS / "validate.mjs"), str(packages())]
    done = subprocess.run(
        command, input=json.dumps(list(manifests)), capture_output=True, text=True, timeout=VALIDATE_S, check=True
    )
    return [
        [f"no schema of {manifest['apiVersion']} {manifest['kind']}"] if said is None else said
        for manifest, said in zip(manifests, json.loads(done.stdout), strict=True)
    ]


if __name__ == "__main__":
    print(packages())
