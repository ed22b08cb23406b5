"""What a stranger gets from the running containers: one port, and no secret in layers, listings or logs."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.deploy import images
from tests.deploy.deployed import WITHOUT, Deployed
from tests.deploy.running import podman, ulimits

#: What the engines and ours listen on inside.
INSIDE = {
    **{"postgres": 5432, "rabbitmq": 5672, "redis-cache": 6379, "redis-results": 6379, "elasticsearch": 9200},
    **{"web": 8000, "keeper": 9101, "prometheus": 9090, "alertmanager": 9093},
}
KEY = re.compile(rb"-----BEGIN (?:RSA |EC |OPENSSH )?PRIVATE KEY-----\r?\n[A-Za-z0-9+/=]{60}|AKIA[0-9A-Z]{16}\b")

#: Examples in documentation, and the keys that libraries test themselves with: none of them opens anything.
EXAMPLES = re.compile(r" (?:\./)?(?:opt/venv/lib/.*/(?:examples[-/]|tests/)|usr/lib/.*\.so|usr/share/doc/)")


@pytest.fixture
def secrets(server: Deployed) -> list[str]:
    """Every password and key there is, as they are in the files that carry them."""
    folder = server.up.volume("ours")
    found = [path.read_text().strip() for path in folder.iterdir() if not path.name.endswith("_url")]
    assert len(found) >= 6
    return [*found, server.key]


def test_of_all_ports_only_the_proxys_is_open_and_only_on_loopback(server: Deployed) -> None:
    assert published(server) == {("127.0.0.1", server.port)}
    outward = own_address()
    assert server.port in open_ports("127.0.0.1", [server.port])
    assert open_ports(outward, [server.port, *INSIDE.values()]) & held_by_containers() == set()


def test_every_port_that_a_container_holds_here_is_the_proxys(server: Deployed) -> None:
    assert open_ports("127.0.0.1", range(1, 65_536)) & held_by_containers() == {server.port}


def test_a_container_of_another_network_reaches_none_of_them(server: Deployed) -> None:
    places = [(server.up.address(name), port) for name, port in INSIDE.items()]
    code = (
        "import json, socket, sys\n"
        "for place in json.loads(sys.argv[1]):\n"
        "    try:\n"
        "        socket.create_connection(tuple(place), 1).close()\n"
        "        print('reached', place)\n"
        "    except OSError:\n"
        "        pass\n"
    )
    name = f"{server.up.project.name}-stranger"
    options = ["--rm", "--pull=never", "--runtime", "runc", "--name", name, *ulimits()]
    network = f"{server.up.project.name}_outside"
    said = podman("run", *options, "--network", network, images.BASE, "python3", "-c", code, json.dumps(places))
    assert "reached" not in said


def test_ours_have_no_way_out(server: Deployed) -> None:
    code = "import socket; socket.create_connection(('192.0.2.1', 80), 3)"
    for name in ("web", "worker-standard", "keeper"):
        assert "unreachable" in server.up.execute(name, "python", "-c", code, tolerant=True)


def test_no_secret_is_in_listings_or_logs(server: Deployed, secrets: list[str]) -> None:
    server.post("/v1/predictions", {"model": "iris", "input": {"instances": [[6.7, 3.0, 5.2, 2.3]]}}, Prefer="wait")
    for name in set(server.up.project.services) - WITHOUT - {"dev"}:
        told = {"listing": json.dumps(server.up.inspect(name)), "log": server.up.logs(name)}
        for where, text in told.items():
            assert [secret for secret in secrets if secret in text] == [], f"{where} of {name}"


def test_no_secret_is_in_a_layer_of_the_image(tmp_path: Path, secrets: list[str]) -> None:
    podman("save", "--format", "docker-dir", "--output", str(tmp_path / "image"), images.OURS, limit=300)
    wanted = re.compile(b"|".join(re.escape(secret.encode()) for secret in secrets))
    found = [
        where
        for where in found_in_layers(tmp_path / "image", re.compile(KEY.pattern + b"|" + wanted.pattern))
        if not EXAMPLES.search(where)
    ]
    assert found == []
    assert not wanted.search(podman("history", "--no-trunc", images.OURS).encode())


def found_in_layers(folder: Path, wanted: re.Pattern[bytes]) -> Iterator[str]:
    """Files of any layer in which the pattern is found, also of those that a layer above deletes."""
    for layer in folder.iterdir():
        if not tarfile.is_tarfile(layer):
            continue
        with tarfile.open(layer) as archive:
            for member in archive:
                file = archive.extractfile(member) if member.isfile() else None
                if file is not None and wanted.search(file.read()):
                    yield f"{layer.name[:12]} {member.name}"


def published(server: Deployed) -> set[tuple[str, int]]:
    """(address, port) of this machine that any container of the project is published on."""
    found = set()
    for name in set(server.up.project.services) - WITHOUT - {"dev"}:
        for bindings in (server.up.inspect(name)["NetworkSettings"].get("Ports") or {}).values():
            found |= {(binding["HostIp"], int(binding["HostPort"])) for binding in bindings or ()}
    return found


def open_ports(address: str, ports: range | list[int]) -> set[int]:
    def is_open(port: int) -> bool:
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex((address, port)) == 0

    with ThreadPoolExecutor(32) as pool:
        return {port for port, answers in zip(ports, pool.map(is_open, ports), strict=True) if answers}


def held_by_containers() -> set[int]:
    """Ports on which podman's own processes listen for containers, or that its rules hand on to them."""
    listening = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True, timeout=30).stdout
    held = {int(line.split()[3].rpartition(":")[2]) for line in listening.splitlines() if "conmon" in line}
    rules = subprocess.run(
        ["iptables-save", "-t", "nat"], capture_output=True, text=True, check=True, timeout=30
    ).stdout
    return held | {int(port) for port in re.findall(r"--dport (\d+) -j DNAT", rules)}


def own_address() -> str:
    """The address by which this machine is known to others."""
    name = os.uname().nodename
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
        except OSError:
            return socket.gethostbyname(name)
