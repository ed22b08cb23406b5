"""A private Prometheus that scrapes the processes of the stack by the jobs and rules of `docker/prometheus`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from serving_site.stack.server import Server, folder_for, free_port, launch, program

#: Configuration, rules, their tests and the runbook; `flags` holds what Prometheus takes from its command line only.
HOME = Path(__file__).resolve().parent.parent.parent / "docker" / "prometheus"

#: Seconds between two scrapes, and between two looks at the rules.
EVERY_S = 5
#: The shortest window of scaled rules: a rate needs two values in it, also when one scrape came late.
LEAST_WINDOW_S = 4 * EVERY_S
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(?P<before>\[|\boffset |\bfor: |\binterval: )(?P<number>\d+)(?P<unit>[smhd])\b")


def start(
    root: Path, *, targets: Mapping[str, Sequence[str]], port: int | None = None, times_faster: float = 1
) -> Server:
    """Start it in `root/prometheus`; `targets` maps a job's name to its `host:port` list.

    With `times_faster` its rules are a copy whose windows and patience are so many times shorter.
    """
    folder = folder_for(root, "prometheus")
    port = port or free_port()
    made = configuration(targets)
    if times_faster != 1:
        made["rule_files"] = [_write_scaled(Path(name), folder, times_faster) for name in made["rule_files"]]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(made, sort_keys=False))
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
        ready_path="/-/ready",
        port=port,
        url=f"http://127.0.0.1:{port}",
    )


def configuration(targets: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The shipped configuration with these places for its jobs, read often; jobs without a place are left out.

    A job named `<server>-<part>` is at its server's place; a job the file does not know is scraped plainly.
    """
    found: dict[str, Any] = yaml.safe_load((HOME / "prometheus.yml").read_text())
    shipped = {job["job_name"]: job for job in found["scrape_configs"]}
    plain = {name: {"job_name": name} for name in targets if name not in shipped}
    jobs = [_at(job, targets.get(name) or targets.get(name.split("-")[0])) for name, job in (shipped | plain).items()]
    managers = list(targets.get("alertmanager", ()))
    told = {"alerting": {"alertmanagers": [{"static_configs": [{"targets": managers}]}]}} if managers else {}
    return {
        **told,
        "global": {
            **found["global"],
            "scrape_interval": f"{EVERY_S}s",
            "scrape_timeout": f"{EVERY_S - 1}s",
            "evaluation_interval": f"{EVERY_S}s",
        },
        "rule_files": [str(HOME / name) for name in found["rule_files"]],
        "scrape_configs": [job for job in jobs if job],
    }


def _at(job: Mapping[str, Any], places: Sequence[str] | None) -> dict[str, Any]:
    if not places:
        return {}
    how = {name: value for name, value in job.items() if not name.endswith("_sd_configs")}
    return how | {"static_configs": [{"targets": list(places)}]}


def scaled(rules: str, times_faster: float) -> str:
    """The text of a rule file with every window, offset, interval and `for:` divided; windows keep two scrapes.

    An interval becomes the one of the server: an hourly series of a day that takes minutes would be gone in between.
    """

    def shorter(found: re.Match[str]) -> str:
        before, seconds = found["before"], int(found["number"]) * _SECONDS[found["unit"]] / times_faster
        if before == "interval: ":
            seconds = EVERY_S
        elif before == "[":
            seconds = max(seconds, LEAST_WINDOW_S)
        return f"{before}{round(seconds)}s"

    return _DURATION.sub(shorter, rules)


def scaled_durations(part: Any, times_faster: float) -> Any:
    """A piece of configuration with every value that is a duration (`15s`, `12h`) divided, to one second at least."""
    if isinstance(part, dict):
        return {name: scaled_durations(value, times_faster) for name, value in part.items()}
    if isinstance(part, list):
        return [scaled_durations(value, times_faster) for value in part]
    found = re.fullmatch(r"(\d+)([smhd])", part) if isinstance(part, str) else None
    if found is None:
        return part
    return f"{max(1, round(int(found[1]) * _SECONDS[found[2]] / times_faster))}s"


def _write_scaled(path: Path, folder: Path, times_faster: float) -> str:
    copy = folder / path.name
    copy.write_text(scaled(path.read_text(), times_faster))
    return str(copy)
