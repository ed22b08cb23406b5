"""A private Prometheus that scrapes the processes of the stack by the jobs and rules of `docker/prometheus`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from serving_site.stack.server import Server, folder_for, free_port, launch, program

#: Configuration, rules, their tests and the runbook; `flags` holds what Prometheus takes from its command line only.
HOME = Path(__file__).resolve().parent.parent.parent / "docker" / "prometheus"


def start(root: Path, *, targets: Mapping[str, Sequence[str]], port: int | None = None) -> Server:
    """Start it in `root/prometheus`; `targets` maps a job's name to its `host:port` list."""
    folder = folder_for(root, "prometheus")
    port = port or free_port()
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration(targets), sort_keys=False))
    return launch(
        "prometheus",
        [
            program("prometheus"),
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            *(HOME / "flags").read_text().split(),
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        folder=folder,
        port=port,
        url=f"http://127.0.0.1:{port}",
    )


def configuration(targets: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The shipped configuration with these places for its jobs, read every 5 s; jobs without a place are left out.

    A job named `<server>-<part>` is at its server's place; a job the file does not know is scraped plainly.
    """
    found: dict[str, Any] = yaml.safe_load((HOME / "prometheus.yml").read_text())
    shipped = {job["job_name"]: job for job in found["scrape_configs"]}
    plain = {name: {"job_name": name} for name in targets if name not in shipped}
    jobs = [_at(job, targets.get(name) or targets.get(name.split("-")[0])) for name, job in (shipped | plain).items()]
    return {
        "global": found["global"] | {"scrape_interval": "5s", "scrape_timeout": "4s", "evaluation_interval": "5s"},
        "rule_files": [str(HOME / name) for name in found["rule_files"]],
        "scrape_configs": [job for job in jobs if job],
    }


def _at(job: Mapping[str, Any], places: Sequence[str] | None) -> dict[str, Any]:
    if not places:
        return {}
    how = {name: value for name, value in job.items() if not name.endswith("_sd_configs")}
    return how | {"static_configs": [{"targets": list(places)}]}
