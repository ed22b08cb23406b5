"""What the compose file promises: nothing published but the front, everything bounded, no secret in an environment."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker" / "compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name for name, service in SERVICES.items() if service["image"].startswith("serving-blueprint:")}
ONCE = {"credentials", "migrate"}
#: Published on loopback whatever .env says, and started only when asked for.
ON_REQUEST = {"dev"}


def test_one_command_in_the_root_starts_it() -> None:
    assert yaml.safe_load((ROOT / "compose.yaml").read_text()) == {"include": ["docker/compose.yml"]}


def test_every_process_of_the_blueprint_is_there() -> None:
    workers = {f"worker-{priority}" for priority in ("interactive", "standard", "bulk", "operations")}
    assert {"web", "keeper", "beat", *workers, *ONCE} == OURS
    engines = {"postgres", "rabbitmq", "redis-cache", "redis-results", "elasticsearch"}
    assert {*engines, "proxy", "prometheus", "alertmanager", "grafana"} <= set(SERVICES)


def test_only_the_proxy_and_grafana_are_published_and_on_loopback_by_default() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert set(published) - ON_REQUEST == {"proxy", "grafana"}
    for name in ("proxy", "grafana"):
        assert all(port.startswith("${BIND:-127.0.0.1}:") for port in published[name])
    assert all(port.startswith("127.0.0.1:") for name in ON_REQUEST for port in published[name])
    assert all(SERVICES[name]["profiles"] == ["dev"] for name in ON_REQUEST)


def test_what_is_not_published_has_no_way_out() -> None:
    assert COMPOSE["networks"]["inside"]["internal"] is True
    outside = {name for name, service in SERVICES.items() if "outside" in service.get("networks", ())}
    assert outside == {"proxy", "grafana", *ON_REQUEST}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_bounded_and_pinned(name: str) -> None:
    service = SERVICES[name]
    assert {"cpus", "memory", "pids"} <= set(service["deploy"]["resources"]["limits"])
    registry, _, _ = service["image"].partition("/")
    assert "." not in registry.split(":")[0] or "/" not in service["image"], "no registry host"
    tag = service["image"].rpartition(":")[2]
    assert name in OURS or re.search(r"\d+\.\d+", tag), "pinned to a version"
    if name not in ONCE:
        assert service["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", sorted(OURS))
def test_ours_run_without_powers_on_a_root_that_nobody_writes(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", SERVICES)
def test_no_secret_is_in_an_environment(name: str) -> None:
    environment = SERVICES[name].get("environment", {})
    for variable, value in environment.items():
        if re.search(r"PASSWORD|SECRET|TOKEN|_KEY", variable):
            assert variable.endswith(("_FILE", "__FILE")), variable
            assert str(value).startswith("/credentials/"), variable
        assert not re.search(r"://[^/]*:[^/]*@", str(value)), variable


def test_who_needs_something_waits_until_it_is_there() -> None:
    for name in OURS - ONCE:
        conditions = {of: how["condition"] for of, how in SERVICES[name]["depends_on"].items()}
        assert conditions["migrate"] == "service_completed_successfully"
        assert conditions["rabbitmq"] == "service_healthy"
    for name, service in SERVICES.items():
        for needed, how in service.get("depends_on", {}).items():
            there = needed in OURS or "healthcheck" in SERVICES[needed]
            assert there or how["condition"] != "service_healthy", f"{name} waits for the health of {needed}"


def test_every_mounted_file_is_in_the_repository() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (ROOT / "docker" / source).exists(), source
            elif not source.startswith("/"):
                assert source in COMPOSE["volumes"], source


def test_the_example_names_every_variable_and_no_other() -> None:
    text = "".join((ROOT / "docker" / name).read_text() for name in ("compose.yml", "compose.tls.yml"))
    used = {*re.findall(r"(?<!\$)\$\{([A-Z_]+)", text), "COMPOSE_FILE"}
    shown = set(re.findall(r"^# ([A-Z_]+)=", (ROOT / "docker" / ".env.example").read_text(), re.MULTILINE))
    assert used == shown
