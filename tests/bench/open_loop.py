"""Calls at a fixed rate, whatever the server does: latency is counted from the moment a call was due.

A closed loop stops asking while it waits for a slow answer, and so measures a stall once that a hundred users would
have met (coordinated omission). Here every call has its due time beforehand, `start + i / rate`; one that cannot be
sent because all connections wait is sent later and its waiting counts.

`python -m tests.bench.open_loop < specification.json` runs it in a process of its own, tied to the client's core.
"""

from __future__ import annotations

import gc
import json
import select
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

from tests.bench.contenders import Call
from tests.bench.machine import CLIENT_CORE, ROOT, on_core

#: Seconds after the last call was due that answers are still waited for.
PATIENCE_S = 10.0


@dataclass(frozen=True)
class Latency:
    """Milliseconds from due to answered; `late_p99_ms`: how late the generator itself was with a free connection,
    `held_up_ms`: the longest time between two of its looks at what is due and what has come."""

    asked_rate: float
    rate: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    late_p99_ms: float
    held_up_ms: float
    answered: int
    refused: int
    unanswered: int


def percentile(ordered: Sequence[float], share: float) -> float:
    """Nearest-rank percentile of an ordered sequence; 0 when it is empty."""
    if not ordered:
        return 0.0
    return ordered[min(len(ordered) - 1, max(0, -(-len(ordered) * round(share * 1000) // 1000) - 1))]


def summary(
    rate: float,
    seconds: float,
    latencies: list[float],
    lateness: list[float],
    *,
    refused: int,
    unanswered: int,
    held_up: float = 0.0,
) -> Latency:
    """An unanswered call counts with all its waiting, at least `PATIENCE_S`; a refused one counts as not done."""
    ordered = sorted([*latencies, *[PATIENCE_S] * unanswered])
    return Latency(
        asked_rate=rate,
        rate=len(latencies) / seconds,
        p50_ms=percentile(ordered, 0.5) * 1000,
        p99_ms=percentile(ordered, 0.99) * 1000,
        max_ms=(ordered[-1] if ordered else 0.0) * 1000,
        late_p99_ms=percentile(sorted(lateness), 0.99) * 1000,
        held_up_ms=held_up * 1000,
        answered=len(latencies),
        refused=refused,
        unanswered=unanswered,
    )


def message(call: Call) -> bytes:
    """The call as bytes on the wire."""
    parts = urlsplit(call.url)
    headers = {"Host": parts.netloc, **call.headers, "Content-Length": str(len(call.body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {parts.path} HTTP/1.1\r\n{head}\r\n".encode() + call.body


def complete(received: bytes | bytearray) -> int:
    """The answer's status once all of it is here, else 0."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return 0
    head = bytes(received[:end]).lower()
    at = head.find(b"content-length:")
    if at >= 0:
        length = int(head[at + 15 :].split(b"\r\n", 1)[0])
        is_whole = len(received) >= end + 4 + length
    else:
        is_whole = received.endswith(b"0\r\n\r\n")
    return int(head[9:12]) if is_whole else 0


class _Connection:
    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, timeout=5)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = bytearray()
        self.due = 0.0


class OpenLoop:
    """One run: `rate` calls per second for `seconds` over at most `connections` connections."""

    def __init__(self, address: tuple[str, int], sent: bytes, *, rate: float, seconds: float, connections: int) -> None:
        self._address, self._sent, self._rate, self._seconds = address, sent, rate, seconds
        self._total = max(1, round(rate * seconds))
        self._poll = select.epoll()
        self._by_file: dict[int, _Connection] = {}
        self._free: deque[_Connection] = deque(self._connect() for _ in range(connections))
        self._waiting: deque[float] = deque()
        self._latencies: list[float] = []
        self._lateness: list[float] = []
        self._refused = self._lost = 0

    def run(self) -> Latency:
        start = time.perf_counter() + 0.05
        asked = 0
        held_up, looked = 0.0, start
        end = start + self._seconds + PATIENCE_S
        while asked < self._total or (self._in_flight() and time.perf_counter() < end):
            now = time.perf_counter()
            held_up, looked = max(held_up, now - looked), now
            while asked < self._total and (due := start + asked / self._rate) <= now:
                asked += 1
                self._ask(due, now)
                now = time.perf_counter()
            for file, _ in self._poll.poll(0):
                self._receive(self._by_file[file])
        unanswered = self._in_flight() + self._lost
        for connection in self._by_file.values():
            connection.socket.close()
        counts = {"refused": self._refused, "unanswered": unanswered}
        return summary(self._rate, self._seconds, self._latencies, self._lateness, **counts, held_up=held_up)

    def _in_flight(self) -> int:
        return len(self._waiting) + len(self._by_file) - len(self._free)

    def _connect(self) -> _Connection:
        connection = _Connection(self._address)
        self._by_file[connection.socket.fileno()] = connection
        self._poll.register(connection.socket, select.EPOLLIN)
        return connection

    def _ask(self, due: float, now: float) -> None:
        if not self._free:
            self._waiting.append(due)
            return
        self._lateness.append(now - due)
        self._send(self._free.pop(), due)

    def _send(self, connection: _Connection, due: float) -> None:
        connection.due = due
        connection.received.clear()
        try:
            connection.socket.sendall(self._sent)
        except OSError:
            self._replace(connection)

    def _receive(self, connection: _Connection) -> None:
        try:
            chunk = connection.socket.recv(1 << 18)
        except OSError:
            chunk = b""
        if not chunk:
            self._replace(connection)
            return
        connection.received += chunk
        status = complete(connection.received)
        if not status:
            return
        if status < 400:
            self._latencies.append(time.perf_counter() - connection.due)
        else:
            self._refused += 1
        self._release(connection)

    def _release(self, connection: _Connection) -> None:
        connection.due = 0.0
        if self._waiting:
            self._send(connection, self._waiting.popleft())
        else:
            self._free.append(connection)

    def _replace(self, connection: _Connection) -> None:
        """The server closed it: a call it carried is lost, a new connection takes its place."""
        if connection.due:
            self._lost += 1
        else:
            self._free.remove(connection)
        del self._by_file[connection.socket.fileno()]
        self._poll.unregister(connection.socket)
        connection.socket.close()
        self._release(self._connect())


def load(call: Call, *, rate: float, seconds: float, connections: int = 64, core: int | None = CLIENT_CORE) -> Latency:
    """Run it in a process of its own. Of a server that does not even listen every call is unanswered."""
    parts = urlsplit(call.url)
    specification = {
        "address": [parts.hostname, parts.port],
        "sent": message(call).hex(),
        "rate": rate,
        "seconds": seconds,
        "connections": connections,
    }
    done = subprocess.run(
        on_core(core, [sys.executable, "-m", "tests.bench.open_loop"]),
        cwd=ROOT,
        input=json.dumps(specification),
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds + PATIENCE_S + 60,
    )
    if done.returncode:
        print(done.stderr[-500:], file=sys.stderr, flush=True)
        return summary(rate, seconds, [], [], refused=0, unanswered=max(1, round(rate * seconds)))
    return Latency(**json.loads(done.stdout))


def main() -> None:
    asked = json.load(sys.stdin)
    address, sent = (asked["address"][0], asked["address"][1]), bytes.fromhex(asked["sent"])
    loop = OpenLoop(address, sent, rate=asked["rate"], seconds=asked["seconds"], connections=asked["connections"])
    gc.disable()
    json.dump(asdict(loop.run()), sys.stdout)


if __name__ == "__main__":
    main()
