"""A private RabbitMQ node with the management and prometheus plugins, bound to loopback in every port it has."""

from __future__ import annotations

import os
import secrets
import subprocess
import time
from pathlib import Path

from serving_site.stack.server import Server, ServerBroken, ServerMissing, folder_for, free_port, launch

READY_LIMIT_S = 60
_PLACES = ["/usr/lib/rabbitmq/bin", "/usr/local/sbin", "/opt/homebrew/sbin"]


def start(root: Path, *, port: int | None = None) -> Server:
    """Start it in `root/rabbitmq`. The password is made once and kept there (mode 600).

    Raises `ServerBroken` with the end of its log when it does not take work twice in a row.
    """
    folder = folder_for(root, "rabbitmq")
    try:
        return _start(folder, port or free_port())
    except ServerBroken:
        return _start(folder, port or free_port())


def _start(folder: Path, port: int) -> Server:
    management, metrics, distribution = free_port(), free_port(), free_port()
    password = _password(folder)
    _configure(folder, port=port, management=management, metrics=metrics, password=password)
    server = launch(
        "rabbitmq",
        [_script("rabbitmq-server")],
        folder=folder,
        port=port,
        url=f"amqp://serving:{password}@127.0.0.1:{port}//",
        env=_environment(folder, port, distribution),
        timeout=90,
        extra_urls={"management": f"http://127.0.0.1:{management}", "metrics": f"http://127.0.0.1:{metrics}/metrics"},
    )
    try:
        _await_ready(server, _environment(folder, port, distribution))
    except ServerBroken:
        server.stop()
        raise
    return server


def _await_ready(server: Server, environment: dict[str, str]) -> None:
    """The port answers before the node takes work, and before its plugins have their ports; ask the node itself."""
    end = time.monotonic() + READY_LIMIT_S
    command = [_script("rabbitmqctl"), "--quiet", "await_startup", "--timeout", str(READY_LIMIT_S)]
    while subprocess.run(command, env={**os.environ, **environment}, capture_output=True).returncode:  # noqa: S603
        if time.monotonic() > end or not server.process.running():
            raise ServerBroken(f"rabbitmq does not take work:\n{server.said()}")
        time.sleep(0.5)


def _password(folder: Path) -> str:
    path = folder / "password"
    if not path.exists():
        with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(24))
    return path.read_text()


def _configure(folder: Path, *, port: int, management: int, metrics: int, password: str) -> None:
    (folder / "enabled_plugins").write_text("[rabbitmq_management,rabbitmq_prometheus].\n")
    path = folder / "rabbitmq.conf"
    path.touch(mode=0o600)
    path.write_text(
        f"""listeners.tcp.default = 127.0.0.1:{port}
management.tcp.ip = 127.0.0.1
management.tcp.port = {management}
prometheus.tcp.ip = 127.0.0.1
prometheus.tcp.port = {metrics}
default_user = serving
default_pass = {password}
consumer_timeout = 1800000
disk_free_limit.absolute = 2GB
vm_memory_high_watermark.absolute = 1500MB
max_message_size = 1048576
log.console = true
log.console.formatter = json
log.file = false
"""
    )


def _environment(folder: Path, port: int, distribution: int) -> dict[str, str]:
    """Everything a second node on the machine must have of its own: name, ports, folders, cookie."""
    return {
        "HOME": str(folder),
        "RABBITMQ_NODENAME": f"serving{port}@localhost",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 -kernel inet_dist_use_interface {127,0,0,1}",
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(_epmd_port(folder)),
    }


def _epmd_port(folder: Path) -> int:
    """A port mapper of the node's own, so that no other node of the machine is seen or disturbed."""
    path = folder / "epmd_port"
    if not path.exists():
        path.write_text(str(free_port()))
    return int(path.read_text())


def _script(name: str) -> str:
    """RabbitMQ's own script, not Debian's wrapper, which would switch to the system's user and folders."""
    for place in _PLACES:
        if (Path(place) / name).exists():
            return str(Path(place) / name)
    raise ServerMissing(f"{name} is not installed")
