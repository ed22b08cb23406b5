"""The rules of docker/prometheus/rules as the Prometheus operator takes them.

`python docker/kubernetes/rules.py` writes production/rules.yaml; a test finds it current.
"""

from __future__ import annotations

from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
RULES = HERE.parent / "prometheus" / "rules"
WRITTEN = HERE / "production" / "rules.yaml"
HEAD = "# Written by docker/kubernetes/rules.py from docker/prometheus/rules.\n"


def render() -> str:
    groups = [group for path in sorted(RULES.glob("*.yml")) for group in yaml.safe_load(path.read_text())["groups"]]
    rule = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "serving"},
        "spec": {"groups": groups},
    }
    return HEAD + yaml.safe_dump(rule, sort_keys=False, width=120, allow_unicode=True)


if __name__ == "__main__":
    WRITTEN.write_text(render())
