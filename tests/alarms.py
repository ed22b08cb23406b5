"""Prometheus and Alertmanager asked what is on fire, and an address that alerts are posted to.

with Receiver() as receiver:
    ...start a stack with Manner(receiver=receiver.url, times_faster=30)...
    watch = Watch(prometheus_url, alertmanager_url)
    watch.until({"WorkerDown"}, limit=60); watch.until_quiet({"WorkerDown"}, limit=60)
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

from kombu import Connection


class Receiver:
    """A web server that keeps what Alertmanager posts: (path, alert's name, its status)."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str, str]] = []
        heard = self.heard

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                heard.extend((self.path, one["labels"]["alertname"], one["status"]) for one in told["alerts"])
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Receiver:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class Watch:
    """What fires in a running Prometheus, and what of it its Alertmanager knows."""

    def __init__(self, prometheus: str, alertmanager: str) -> None:
        self._prometheus = prometheus
        self._alertmanager = alertmanager

    def firing(self) -> set[str]:
        """Names of alerts; those about a part or a server with its name behind: `DependencyDown record store`."""
        alerts = _read(f"{self._prometheus}/api/v1/alerts")["data"]["alerts"]
        return {_name(alert) for alert in alerts if alert["state"] == "firing"}

    def known(self) -> set[str]:
        """Alerts that Alertmanager holds, silenced ones too."""
        return {_name(alert) for alert in _read(f"{self._alertmanager}/api/v2/alerts")}

    def told(self) -> str:
        """What both say now, for the message of a test that waited in vain."""
        try:
            alerts = _read(f"{self._prometheus}/api/v1/alerts")["data"]["alerts"]
            targets = _read(f"{self._prometheus}/api/v1/targets?state=active")["data"]["activeTargets"]
            known = sorted(self.known())
        except OSError as error:
            return f"Prometheus or Alertmanager does not answer: {error}"
        states = sorted(f"{_name(one)} {one['state']} since {one['activeAt']}, value {one['value']}" for one in alerts)
        unread = [
            f"{one['labels']['job']} {one['scrapeUrl']}: {one['lastError']} after {one['lastScrapeDuration']:.1f} s"
            for one in targets
            if one["health"] != "up"
        ]
        return "\n".join(["Prometheus:", *states, f"Alertmanager: {known}", "Targets that are not read:", *unread])

    def until_seen_twice(self, metric: str, *, limit: float = 60) -> None:
        """Wait until a counter was scraped twice: before that nothing it does is an increase."""
        query = urlencode({"query": f"max(count_over_time({metric}[5m])) >= 2"})
        end = time.monotonic() + limit
        while not _read(f"{self._prometheus}/api/v1/query?{query}")["data"]["result"]:
            assert time.monotonic() < end, f"{metric} was not scraped twice within {limit} s\n{self.told()}"
            time.sleep(0.5)

    def until(self, names: set[str], *, limit: float) -> dict[str, float]:
        """Wait until all of them have fired and have reached Alertmanager; seconds until each did."""
        return self._each(names, lambda: self.firing() & self.known(), "fired", limit=limit)

    def until_quiet(self, names: set[str], *, limit: float) -> dict[str, float]:
        """Wait until none of them fires any more; seconds until each was quiet."""
        return self._each(names, lambda: names - self.firing(), "were quiet", limit=limit)

    def _each(self, names: set[str], found: Callable[[], set[str]], did: str, *, limit: float) -> dict[str, float]:
        began, seen = time.monotonic(), dict[str, float]()
        while set(seen) < names:
            with suppress(OSError):  # a machine that has too much to do: asked again
                for name in found() & names:
                    seen.setdefault(name, round(time.monotonic() - began, 1))
            if time.monotonic() - began > limit:
                late = sorted(names - set(seen))
                raise AssertionError(f"within {limit} s {seen} {did}, not {late}\n{self.told()}")
            time.sleep(0.5)
        return seen


def lose_a_message(broker: str) -> None:
    """Publish one that no queue takes: the exchange gives it to those that the keeper reads and counts."""
    with Connection(broker) as connection:
        connection.Producer().publish({}, exchange="serving", routing_key="predictions.nowhere")


def _name(alert: Any) -> str:
    labels = alert["labels"]
    return " ".join(labels[name] for name in ("alertname", "part", "dependency") if labels.get(name))


def _read(url: str) -> Any:
    with urlopen(url, timeout=10) as answer:
        return json.load(answer)
