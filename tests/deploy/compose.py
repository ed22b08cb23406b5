"""Reads compose files as docker compose does, as far as ours go: variables, several files on top of each other.

    project = read([Path("docker/compose.yml")], {"PORT": "18000"})
    project.services["web"].run_arguments(...)

What a service says and is not known here raises ValueError: nothing of the file is left out silently.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

_VARIABLE = re.compile(r"\$(?:(\$)|\{([A-Z_]+)(?::-([^}]*))?\})")
KNOWN = {
    *(
        "build",
        "cap_add",
        "cap_drop",
        "command",
        "depends_on",
        "deploy",
        "dns_opt",
        "entrypoint",
        "environment",
        "healthcheck",
    ),
    *("hostname", "image", "logging", "network_mode", "networks", "ports", "profiles", "read_only", "restart"),
    *("security_opt", "shm_size", "stop_grace_period", "tmpfs", "ulimits", "user", "volumes"),
}
#: Lists that a file on top replaces; the others are added to.
REPLACED = {"command", "entrypoint", "test", "cap_drop", "security_opt", "profiles"}


@dataclass(frozen=True, slots=True)
class Service:
    """One service: `facts` is what the files say of it, `folder` what its relative paths are relative to."""

    name: str
    facts: Mapping[str, Any]
    folder: Path

    @property
    def image(self) -> str:
        return str(self.facts["image"])

    @property
    def needs(self) -> dict[str, str]:
        """Service → condition that it waits for."""
        return {name: how["condition"] for name, how in self.facts.get("depends_on", {}).items()}

    @property
    def runs_once(self) -> bool:
        return str(self.facts.get("restart", "no")) == "no"

    @property
    def profiles(self) -> set[str]:
        return set(self.facts.get("profiles", ()))

    @property
    def patience_s(self) -> float:
        """Seconds that its own health check gives it to become healthy."""
        check = self.facts.get("healthcheck", {})
        interval, retries = _seconds(check.get("interval", "30s")), int(check.get("retries", 3))
        return _seconds(check.get("start_period", "0s")) + interval * retries


@dataclass(frozen=True, slots=True)
class Project:
    name: str
    services: Mapping[str, Service]
    networks: Mapping[str, Mapping[str, Any]]
    volumes: tuple[str, ...]

    def in_order(self, profile: str = "") -> list[Service]:
        """Services without a profile, and those of `profile`, each after what it needs."""
        wanted = {name for name, item in self.services.items() if not item.profiles or profile in item.profiles}
        placed: dict[str, Service] = {}
        while left := wanted - set(placed):
            ready = sorted(name for name in left if set(self.services[name].needs) <= set(placed))
            if not ready:
                raise ValueError(f"these wait for each other, or for what is not started: {sorted(left)}")
            placed |= {name: self.services[name] for name in ready}
        return list(placed.values())

    def with_needs(self, *names: str) -> frozenset[str]:
        """What `docker compose up <names>` starts: these, and all that they wait for."""
        found: set[str] = set()
        left = set(names)
        while left:
            found |= left
            left = {needed for name in left for needed in self.services[name].needs} - found
        return frozenset(found)


def read(paths: Sequence[Path], environment: Mapping[str, str]) -> Project:
    """The project that these files make, each on top of those before; `environment` is .env."""
    document: dict[str, Any] = {}
    for path in paths:
        document = _merged(document, _filled(yaml.safe_load(path.read_text()), environment))
    services = {}
    for name, facts in document["services"].items():
        if unknown := set(facts) - KNOWN:
            raise ValueError(f"{name} says {', '.join(sorted(unknown))}, which nobody here knows")
        services[name] = Service(name, facts, paths[0].parent)
    networks = {name: how or {} for name, how in document["networks"].items()}
    return Project(document["name"], services, networks, tuple(document["volumes"]))


def renamed(project: Project, name: str) -> Project:
    """The same under another name, so that it runs beside one that is in use."""
    return replace(project, name=name)


def arguments(service: Service, project: Project) -> list[str]:
    """What `podman run` takes before the image: all that the file says of the container's surroundings."""
    facts = service.facts
    given = [*_networks(service, project), *_limits(facts), *_health(facts), *_mounts(service, project)]
    for name, value in facts.get("environment", {}).items():
        given += ["--env", f"{name}={value}"]
    for port in facts.get("ports", ()):
        given += ["--publish", port]
    for kind, option in (("cap_drop", "--cap-drop"), ("cap_add", "--cap-add"), ("security_opt", "--security-opt")):
        for value in facts.get(kind, ()):
            given += [option, str(value).replace("no-new-privileges:true", "no-new-privileges")]
    for option in facts.get("dns_opt", ()):
        given += ["--dns-option", option]
    if facts.get("read_only"):
        given += ["--read-only", "--read-only-tmpfs=false"]
    for key, option in (("user", "--user"), ("hostname", "--hostname"), ("shm_size", "--shm-size")):
        if key in facts:
            given += [option, str(facts[key])]
    if "stop_grace_period" in facts:
        given += ["--stop-timeout", str(int(_seconds(facts["stop_grace_period"])))]
    if "entrypoint" in facts:
        given += ["--entrypoint", _listed(facts["entrypoint"])]
    return given


def _networks(service: Service, project: Project) -> list[str]:
    if "network_mode" in service.facts:
        return ["--network", service.facts["network_mode"]]
    given = []
    for name, how in _named(service.facts.get("networks", ["default"])).items():
        aliases = [service.name, *how.get("aliases", ())]
        given += ["--network", f"{project.name}_{name}:" + ",".join(f"alias={alias}" for alias in aliases)]
    return given


def _named(networks: Any) -> dict[str, Any]:
    """Networks in their long form, whichever was written."""
    if isinstance(networks, dict):
        return {name: how or {} for name, how in networks.items()}
    return {name: {} for name in networks}


def _limits(facts: Mapping[str, Any]) -> list[str]:
    found = facts.get("deploy", {}).get("resources", {}).get("limits", {})
    options = {"cpus": "--cpus", "memory": "--memory", "pids": "--pids-limit"}
    return [word for kind, value in found.items() for word in (options[kind], str(value))]


def _health(facts: Mapping[str, Any]) -> list[str]:
    check = facts.get("healthcheck")
    if not check:
        return []
    if check.get("disable"):
        return ["--no-healthcheck"]
    kind, *words = check["test"]
    if kind not in ("CMD", "CMD-SHELL"):
        raise ValueError(f"a health check of kind {kind}")
    given = ["--health-cmd", words[0] if kind == "CMD-SHELL" else _listed(words)]
    return [*given, "--health-timeout", str(check.get("timeout", "30s"))]


def _mounts(service: Service, project: Project) -> list[str]:
    given = []
    for volume in service.facts.get("volumes", ()):
        source, _, rest = volume.partition(":")
        if source.startswith("."):
            source = str((service.folder / source).resolve())
        elif not source.startswith("/"):
            if source not in project.volumes:
                raise ValueError(f"{service.name} mounts {source}, which is no volume")
            source = f"{project.name}_{source}"
        given += ["--volume", f"{source}:{rest}"]
    tmpfs = service.facts.get("tmpfs", [])
    for place in [tmpfs] if isinstance(tmpfs, str) else tmpfs:
        given += ["--tmpfs", place]
    return given


def _listed(words: Sequence[str]) -> str:
    return json.dumps(list(words))


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(?:(\d+)m)?(?:(\d+)s)?", str(text))
    if not found:
        raise ValueError(f"no length of time: {text}")
    return 60.0 * int(found[1] or 0) + int(found[2] or 0)


def _filled(value: Any, environment: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(item, environment) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, environment) for item in value]
    if not isinstance(value, str):
        return value

    def one(found: re.Match[str]) -> str:
        return "$" if found[1] else environment.get(found[2]) or found[3] or ""

    return _VARIABLE.sub(one, value)


def _merged(below: Any, above: Any, key: str = "") -> Any:
    """Maps are merged, lists added to but for those of REPLACED, volumes by their place in the container."""
    if key == "networks":
        below, above = _named(below), _named(above)
    if isinstance(below, dict) and isinstance(above, dict):
        merged = {name: _merged(below[name], value, name) if name in below else value for name, value in above.items()}
        return {**below, **merged}
    if isinstance(below, list) and isinstance(above, list) and key not in REPLACED:
        if key == "volumes":
            places = {item.split(":")[1] for item in above}
            below = [item for item in below if item.split(":")[1] not in places]
        return [*below, *(item for item in above if item not in below)]
    return above
