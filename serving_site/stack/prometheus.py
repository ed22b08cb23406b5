"""A private Prometheus that scrapes the processes of the stack."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from serving_site.stack.server import Server, folder_for, free_port, launch, program


def start(root: Path, *, targets: Mapping[str, Sequence[str]], port: int | None = None) -> Server:
    """Start it in `root/prometheus`; `targets` maps a job's name to its `host:port` list."""
    folder = folder_for(root, "prometheus")
    port = port or free_port()
    jobs = [{"job_name": job, "static_configs": [{"targets": list(places)}]} for job, places in targets.items()]
    # JSON is YAML, so Prometheus reads it as it is.
    (folder / "prometheus.yml").write_text(
        json.dumps({"global": {"scrape_interval": "5s"}, "scrape_configs": jobs}, indent=2)
    )
    return launch(
        "prometheus",
        [
            program("prometheus"),
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            "--storage.tsdb.retention.time=90d",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        folder=folder,
        port=port,
        url=f"http://127.0.0.1:{port}",
    )
