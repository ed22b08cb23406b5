"""Both overlays build, keep the rules of `policies`, and each rule notices when what it asks for is taken away."""

from __future__ import annotations

import copy
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from serving_site.stack.server import ServerMissing
from tests.architecture import policies, schemas
from tests.architecture.policies import Manifest

ROOT = Path(__file__).resolve().parent.parent.parent
KUBERNETES = ROOT / "docker" / "kubernetes"
OVERLAYS = ("small", "production")


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[Manifest]]:
    """The objects of an overlay, built from a copy of docker/ in which credentials were made as its head tells."""
    kustomize = program()
    folder = tmp_path_factory.mktemp("docker") / "docker"
    shutil.copytree(ROOT / "docker", folder)
    secrets = folder / "kubernetes" / "small" / "credentials"
    subprocess.run([sys.executable, "-m", "serving_site.credentials", secrets], cwd=ROOT, check=True, timeout=30)

    @cache
    def built(overlay: str) -> tuple[Manifest, ...]:
        command = [*kustomize, "--load-restrictor", "LoadRestrictionsNone", folder / "kubernetes" / overlay]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return tuple(yaml.safe_load_all(done.stdout))

    return lambda overlay: copy.deepcopy(list(built(overlay)))


def program() -> list[str]:
    """kustomize, alone or within kubectl; made with Go where neither is there."""
    if found := shutil.which("kustomize"):
        return [found, "build"]
    if found := shutil.which("kubectl"):
        return [found, "kustomize"]
    made = ROOT / "var" / "downloads" / "kustomize"
    if not made.exists() and (go := shutil.which("go")):
        package = "sigs.k8s.io/kustomize/kustomize/v5@v5.5.0"
        environment = {
            "GOBIN": str(made.parent),
            "GOFLAGS": "-mod=mod",
            "PATH": "/usr/bin:/bin",
            "HOME": str(Path.home()),
        }
        subprocess.run([go, "install", package], check=False, timeout=240, env=environment)
    if not made.exists():
        pytest.skip("neither kustomize nor kubectl is here, and Go could not make it")
    return [str(made), "build"]


def one(manifests: list[Manifest], kind: str, name: str) -> Any:
    return next(item for item in manifests if item["kind"] == kind and item["metadata"]["name"] == name)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_keeps_every_rule(build: Callable[[str], list[Manifest]], overlay: str) -> None:
    manifests = build(overlay)
    assert policies.broken(manifests) == []
    assert {"web"} <= {item["metadata"]["name"] for item in manifests if item["kind"] == "StatefulSet"}
    workers = {item["metadata"]["name"] for item in manifests if item["kind"] == "Deployment"}
    assert workers >= {f"worker-{priority}" for priority in ("interactive", "standard", "bulk", "operations")}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_object_has_the_namespace_and_every_name_once(
    build: Callable[[str], list[Manifest]], overlay: str
) -> None:
    manifests = [item for item in build(overlay) if item["kind"] != "Namespace"]
    assert {item["metadata"]["namespace"] for item in manifests} == {"serving"}
    names = [(item["kind"], item["metadata"]["name"]) for item in manifests]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_each_worker_takes_its_own_queue(build: Callable[[str], list[Manifest]], overlay: str) -> None:
    for priority in ("interactive", "standard", "bulk", "operations"):
        worker = one(build(overlay), "Deployment", f"worker-{priority}")
        assert worker["spec"]["template"]["spec"]["containers"][0]["args"] == ["worker", priority]
        assert worker["spec"]["selector"]["matchLabels"]["priority"] == priority


def _container(manifests: list[Manifest]) -> Any:
    return one(manifests, "StatefulSet", "web")["spec"]["template"]["spec"]["containers"][0]


TAKEN = {
    "no limits of memory": lambda found: _container(found)["resources"]["limits"].pop("memory"),
    "no requests of cpu": lambda found: _container(found)["resources"]["requests"].pop("cpu"),
    "no livenessProbe": lambda found: _container(found).pop("livenessProbe"),
    "keeps powers": lambda found: _container(found)["securityContext"].pop("capabilities"),
    "root file system is writable": lambda found: _container(found)["securityContext"].pop("readOnlyRootFilesystem"),
    "may run as root": lambda found: one(found, "StatefulSet", "web")["spec"]["template"]["spec"].pop(
        "securityContext"
    ),
    "gets a token": lambda found: one(found, "Deployment", "beat")["spec"]["template"]["spec"].pop(
        "automountServiceAccountToken"
    ),
    "no NetworkPolicy lets in 8000": lambda found: found.remove(one(found, "NetworkPolicy", "to-web")),
    "no NetworkPolicy closes": lambda found: found.remove(one(found, "NetworkPolicy", "closed")),
    "no disruption budget": lambda found: found.remove(one(found, "PodDisruptionBudget", "keeper")),
    "selects no pod": lambda found: one(found, "Service", "web")["spec"]["selector"].update(app="wep"),
    "scales nothing": lambda found: found.remove(one(found, "Deployment", "worker-bulk")),
    "is no name in KEDA's namespace": lambda found: one(found, "ScaledObject", "web")["spec"]["triggers"][1][
        "metadata"
    ].update(serverAddress="http://prometheus:9090"),
    "there is no service prometheus": lambda found: found.remove(one(found, "Service", "prometheus")),
    "is no port of": lambda found: _container(found)["ports"].clear(),
}


@pytest.mark.parametrize("sentence", TAKEN)
def test_a_rule_notices_what_is_taken_away(build: Callable[[str], list[Manifest]], sentence: str) -> None:
    manifests = build("small")
    TAKEN[sentence](manifests)
    assert any(sentence in found for found in policies.broken(manifests)), policies.broken(manifests)


def faults(manifests: list[Manifest]) -> list[str]:
    """What the schemas say; skips where their packages are not here and no registry is in reach."""
    try:
        return schemas.faults(manifests)
    except (schemas.PackagesMissing, ServerMissing) as missing:
        pytest.skip(str(missing))


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_object_of_an_overlay_keeps_its_schema(build: Callable[[str], list[Manifest]], overlay: str) -> None:
    assert faults(build(overlay)) == []


#: Kind and name, what is done to the object, and how the sentence about it begins.
MISTAKEN: tuple[tuple[str, str, Callable[[Any], Any], str], ...] = (
    ("StatefulSet", "web", lambda it: it["spec"].update(replicas="two"), "/spec/replicas: 'two' is not of type"),
    ("Service", "web", lambda it: it["spec"].update(selektor={}), "/spec: Additional properties"),
    ("Deployment", "beat", lambda it: it["spec"].pop("selector"), "/spec: 'selector' is a required"),
    ("NetworkPolicy", "closed", lambda it: it.update(apiVersion="networking.k8s.io/v1beta1"), "no schema of"),
    (
        *("ScaledObject", "worker-bulk", lambda it: it["spec"].update(minReplicaCount="none")),
        '/spec/minReplicaCount breaks "type"',
    ),
    (
        *("ScaledObject", "worker-standard", lambda it: it["spec"]["triggers"][0].update(treshold="5")),
        "/spec/triggers/0/treshold is no field",
    ),
    ("ScaledObject", "worker-interactive", lambda it: it.update(apiVersion="keda.sh/v1"), "no schema of keda.sh/v1 "),
    ("TriggerAuthentication", "rabbitmq", lambda it: it["spec"].update(env="x"), '/spec/env breaks "type"'),
    ("ServiceMonitor", "web", lambda it: it.pop("spec"), '/ breaks "required"'),
    ("PodMonitor", "serving", lambda it: it["spec"].update(selektor={}), "/spec/selektor is no field"),
    (
        *("PrometheusRule", "serving", lambda it: it["spec"]["groups"][0]["rules"][0].update(expression="1")),
        "/spec/groups/0/rules/0/expression is no field",
    ),
    (
        *("ExternalSecret", "serving", lambda it: it["spec"]["data"][0]["remoteRef"].update(proprty="x")),
        "/spec/data/0/remoteRef/proprty is no field",
    ),
)


def test_each_mistake_in_an_object_is_found_by_its_schema(build: Callable[[str], list[Manifest]]) -> None:
    manifests = build("production")
    for kind, name, make, _ in MISTAKEN:
        make(one(manifests, kind, name))
    told = faults(manifests)
    wanted = [f"{kind} {name}: {sentence}" for kind, name, _, sentence in MISTAKEN]
    assert [begin for begin in wanted if not any(found.startswith(begin) for found in told)] == []
    assert len(told) == len(wanted), told


def test_no_secret_is_in_the_manifests_of_production(build: Callable[[str], list[Manifest]]) -> None:
    assert not [item for item in build("production") if item["kind"] == "Secret"]


def test_the_rules_of_the_operator_are_those_of_prometheus() -> None:
    made = runpy.run_path(str(KUBERNETES / "rules.py"))
    assert made["WRITTEN"].read_text() == made["render"]()
