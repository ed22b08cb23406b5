"""Rules of our own for the Kubernetes manifests, on objects as kustomize writes them: each returns what breaks it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

Manifest = dict[str, Any]
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
RUNNING = ("Deployment", "StatefulSet")


def broken(manifests: Sequence[Manifest]) -> list[str]:
    """Every sentence that some rule has about these objects; none when all is well."""
    return [
        *(found for manifest in manifests for found in _of_pods(manifest)),
        *_of_selectors(manifests),
        *_of_disruption(manifests),
        *_of_ports(manifests),
        *_of_scaling(manifests),
    ]


def pods(manifests: Sequence[Manifest]) -> Iterator[tuple[Manifest, Manifest]]:
    """(owner, pod template) of everything that makes pods."""
    for manifest in manifests:
        if manifest["kind"] in (*RUNNING, "Job"):
            yield manifest, manifest["spec"]["template"]


def name_of(manifest: Manifest) -> str:
    return f"{manifest['kind']} {manifest['metadata']['name']}"


def _of_pods(manifest: Manifest) -> Iterator[str]:
    if manifest["kind"] not in (*RUNNING, "Job"):
        return
    pod, owner = manifest["spec"]["template"]["spec"], name_of(manifest)
    context = pod.get("securityContext", {})
    if not context.get("runAsNonRoot"):
        yield f"{owner}: may run as root"
    if context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield f"{owner}: no seccomp profile"
    if pod.get("automountServiceAccountToken") is not False:
        yield f"{owner}: gets a token of the cluster"
    for container in (*pod.get("initContainers", ()), *pod["containers"]):
        yield from _of_container(f"{owner}/{container['name']}", container, runs=manifest["kind"] in RUNNING)


def _of_container(where: str, container: Mapping[str, Any], *, runs: bool) -> Iterator[str]:
    resources, context = container.get("resources", {}), container.get("securityContext", {})
    for kind in ("requests", "limits"):
        for what in ("cpu", "memory"):
            if what not in resources.get(kind, {}):
                yield f"{where}: no {kind} of {what}"
    if context.get("allowPrivilegeEscalation") is not False or context.get("capabilities", {}).get("drop") != ["ALL"]:
        yield f"{where}: keeps powers that the restricted profile takes"
    if not context.get("readOnlyRootFilesystem") and container["name"] not in WRITES_ITS_ROOT:
        yield f"{where}: its root file system is writable"
    if runs:
        yield from (f"{where}: no {probe}" for probe in PROBES if probe not in container)


#: Elasticsearch writes its keystore beside its programs.
WRITES_ITS_ROOT = {"elasticsearch"}


def _of_selectors(manifests: Sequence[Manifest]) -> Iterator[str]:
    """What selects pods finds some."""
    labels = [template["metadata"]["labels"] for _, template in pods(manifests)]
    for manifest in manifests:
        if manifest["kind"] in ("Service", "PodDisruptionBudget"):
            selector = manifest["spec"]["selector"]
            selector = selector.get("matchLabels", selector)
            if not any(selector.items() <= found.items() for found in labels):
                yield f"{name_of(manifest)}: selects no pod"


def _of_disruption(manifests: Sequence[Manifest]) -> Iterator[str]:
    """What has several copies keeps some of them through a drain of nodes."""
    budgets = [item["spec"]["selector"]["matchLabels"] for item in manifests if item["kind"] == "PodDisruptionBudget"]
    for owner, template in pods(manifests):
        several = owner["spec"].get("replicas", 1) > 1
        labels = template["metadata"]["labels"]
        if several and not any(selector.items() <= labels.items() for selector in budgets):
            yield f"{name_of(owner)}: no disruption budget"


def _of_scaling(manifests: Sequence[Manifest]) -> Iterator[str]:
    """What is scaled is there, and KEDA finds whom it asks: it runs in a namespace of its own."""
    there = {(manifest["kind"], manifest["metadata"]["name"]) for manifest in manifests}
    services = {name for kind, name in there if kind == "Service"}
    for scaled in (manifest for manifest in manifests if manifest["kind"] == "ScaledObject"):
        target = scaled["spec"]["scaleTargetRef"]
        if (target.get("kind", "Deployment"), target["name"]) not in there:
            yield f"{name_of(scaled)}: scales nothing"
        for trigger in scaled["spec"]["triggers"]:
            address = trigger["metadata"].get("serverAddress")
            if address is None:
                continue
            host = str(urlsplit(address).hostname)
            name, _, rest = host.partition(".")
            if not rest.endswith(".svc"):
                yield f"{name_of(scaled)}: {host} is no name in KEDA's namespace"
            elif rest == f"{scaled['metadata']['namespace']}.svc" and name not in services:
                yield f"{name_of(scaled)}: there is no service {name}"


def _of_ports(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Each port of a Service is one that some NetworkPolicy lets in, and each let in is one that a container has."""
    policies = [manifest for manifest in manifests if manifest["kind"] == "NetworkPolicy"]
    closes = [policy["spec"] for policy in policies if policy["spec"]["podSelector"] == {}]
    if not any("Ingress" in spec["policyTypes"] and "ingress" not in spec for spec in closes):
        yield "no NetworkPolicy closes what none opens"
    for service in (manifest for manifest in manifests if manifest["kind"] == "Service"):
        for template in (found for _, found in pods(manifests) if _selects(service["spec"]["selector"], found)):
            for port in service["spec"]["ports"]:
                number = _number(template, port["targetPort"])
                if number not in _let_in(policies, template):
                    yield f"{name_of(service)}: no NetworkPolicy lets in {number}"
    for policy in policies:
        for template in (found for _, found in pods(manifests) if _matches(policy["spec"]["podSelector"], found)):
            for number in _let_in([policy], template) - _ports(template):
                yield f"{name_of(policy)}: {number} is no port of {template['metadata']['labels']['app']}"


def _let_in(policies: Sequence[Manifest], template: Manifest) -> set[int]:
    return {
        port["port"]
        for policy in policies
        if _matches(policy["spec"]["podSelector"], template)
        for rule in policy["spec"].get("ingress", ())
        for port in rule["ports"]
    }


def _ports(template: Manifest) -> set[int]:
    spec = template["spec"]
    return {
        port["containerPort"]
        for container in (*spec.get("initContainers", ()), *spec["containers"])
        for port in container.get("ports", ())
    }


def _number(template: Manifest, target: str | int) -> int:
    if isinstance(target, int):
        return target
    spec = template["spec"]
    for container in (*spec.get("initContainers", ()), *spec["containers"]):
        for port in container.get("ports", ()):
            if port["name"] == target:
                return int(port["containerPort"])
    return 0


def _selects(selector: Mapping[str, str], template: Manifest) -> bool:
    return selector.items() <= template["metadata"]["labels"].items()


def _matches(selector: Mapping[str, Any], template: Manifest) -> bool:
    labels = template["metadata"]["labels"]
    expressions = selector.get("matchExpressions", ())
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        labels.get(item["key"]) in item["values"] for item in expressions
    )
