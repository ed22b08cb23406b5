"""A private Alertmanager by the routes and silences of `docker/prometheus/alertmanager.yml`."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from serving_site.stack.prometheus import HOME, scaled_durations
from serving_site.stack.server import Server, folder_for, free_port, launch, program


def start(root: Path, *, port: int | None = None, receiver: str = "", times_faster: float = 1) -> Server:
    """Start it in `root/alertmanager`; `receiver` is the address (`http://host:port`) that alerts are posted to.

    Without one alerts are seen on its page only. With `times_faster` it groups and repeats so many times sooner.
    """
    folder = folder_for(root, "alertmanager")
    port = port or free_port()
    (folder / "alertmanager.yml").write_text(
        yaml.safe_dump(configuration(receiver=receiver, times_faster=times_faster), sort_keys=False)
    )
    return launch(
        "alertmanager",
        [
            program("prometheus-alertmanager"),
            f"--config.file={folder / 'alertmanager.yml'}",
            f"--storage.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",  # one alone: no port for others of its kind
        ],
        folder=folder,
        ready_path="/-/ready",
        port=port,
        url=f"http://127.0.0.1:{port}",
        env={"GOMAXPROCS": "1"},
    )


def configuration(*, receiver: str, times_faster: float) -> dict[str, Any]:
    """The shipped configuration with its webhooks at `receiver`, or without them."""
    found: dict[str, Any] = yaml.safe_load((HOME / "alertmanager.yml").read_text())
    for one in found["receivers"]:
        hooks = one.pop("webhook_configs")
        if receiver:
            one["webhook_configs"] = [{**hook, "url": receiver + urlsplit(hook["url"]).path} for hook in hooks]
    if times_faster != 1:
        found["route"] = scaled_durations(found["route"], times_faster)
    return found
