"""What compose.cluster.yml promises on top of compose.yml: every engine copied, bounded and unpublished."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.deploy import compose

DOCKER = Path(__file__).resolve().parent.parent.parent / "docker"
SINGLE = compose.read([DOCKER / "compose.yml"], {})
CLUSTER = compose.read([DOCKER / "compose.yml", DOCKER / "compose.cluster.yml"], {})
ADDED = sorted(set(CLUSTER.services) - set(SINGLE.services))
OURS = [name for name, service in CLUSTER.services.items() if service.image.startswith("serving-blueprint:")]


def test_every_engine_has_its_copies() -> None:
    assert {"rabbitmq-2", "rabbitmq-3", "elasticsearch-2", "elasticsearch-3", "postgres-standby", "web-2"} <= set(ADDED)
    assert {"redis-cache-replica", "redis-results-replica", "sentinel-1", "sentinel-2", "sentinel-3"} <= set(ADDED)


def test_an_order_of_start_exists_for_both() -> None:
    for project in (SINGLE, CLUSTER):
        order = [service.name for service in project.in_order("dev")]
        assert sorted(order) == sorted(project.services)
        assert order.index("migrate") < order.index("web") < order.index("proxy")


@pytest.mark.parametrize("name", ADDED)
def test_what_is_added_is_bounded_restarted_checked_and_not_published(name: str) -> None:
    facts = CLUSTER.services[name].facts
    assert {"cpus", "memory", "pids"} <= set(facts["deploy"]["resources"]["limits"])
    assert facts["restart"] == "unless-stopped"
    assert "ports" not in facts
    assert set(facts["networks"]) == {"inside"}
    assert name in OURS or "healthcheck" in facts
    assert name in OURS or re.search(r":\d+\.\d+", str(facts["image"])), "pinned"


@pytest.mark.parametrize("name", sorted(set(OURS) - {"credentials"}))
def test_ours_know_every_copy_and_keep_their_secrets_in_files(name: str) -> None:
    facts = CLUSTER.services[name].facts
    assert (facts["read_only"], facts["cap_drop"]) == (True, ["ALL"])
    environment = facts["environment"]
    for variable in ("DATABASE_URL_FILE", "RABBITMQ_URL_FILE", "REDIS_URL_FILE", "REDIS_RESULTS_URL_FILE"):
        assert environment[variable].startswith("/credentials/cluster_"), variable
    assert environment["ELASTICSEARCH_URL"].count("http://") == 3
    assert environment["QUORUM_SIZE"] == 3
    if name not in ("credentials", "migrate"):
        assert "postgres-standby" in facts["depends_on"]


def test_the_second_web_is_as_the_first_but_for_its_folder_and_name() -> None:
    for first, second in (("web", "web-2"), ("keeper", "keeper-2")):
        one, two = CLUSTER.services[first].facts, CLUSTER.services[second].facts
        assert one["environment"].items() <= two["environment"].items()
        assert one["deploy"] == two["deploy"]
        for key in ("image", "command", "cap_drop", "security_opt", "stop_grace_period", "tmpfs", "restart"):
            assert one[key] == two[key], key
    assert "web-2-data:/data" in CLUSTER.services["web-2"].facts["volumes"]
    assert "web-2-data:/data" in CLUSTER.services["keeper-2"].facts["volumes"]


def test_the_proxy_gives_requests_to_both() -> None:
    assert CLUSTER.services["proxy"].facts["environment"]["UPSTREAM"] == "web-1:8000 web-2:8000"
    for name, service in CLUSTER.services.items():
        for needed in service.needs:
            assert needed in CLUSTER.services, f"{name} waits for {needed}"


def test_it_uses_no_variable_that_the_example_does_not_name() -> None:
    used = set(re.findall(r"(?<!\$)\$\{([A-Z_]+)", (DOCKER / "compose.cluster.yml").read_text()))
    shown = set(re.findall(r"^# ([A-Z_]+)=", (DOCKER / ".env.example").read_text(), re.MULTILINE))
    assert used <= shown


def test_a_word_that_the_reader_does_not_know_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "compose.yml"
    path.write_text("name: x\nnetworks: {}\nvolumes: {}\nservices: {a: {image: b, privileged: true}}\n")
    with pytest.raises(ValueError, match="privileged"):
        compose.read([path], {})
