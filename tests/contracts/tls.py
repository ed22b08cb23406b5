"""A certificate for loopback, and a door that speaks TLS in front of a server that does not."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from serving_site.stack.server import program


@dataclass(frozen=True)
class Certificate:
    """Signed by itself, so `file` is also what it is checked against."""

    file: Path
    key: Path


def certificate(folder: Path) -> Certificate:
    made = Certificate(folder / "server.crt", folder / "server.key")
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    command = [program("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-keyout", str(made.key), "-out", str(made.file), "-subj", "/CN=localhost", "-addext", names]
    subprocess.run(command, check=True, timeout=30, stderr=subprocess.DEVNULL)
    return made


class Door:
    """Takes TLS on `port` and hands on to 127.0.0.1:`target` in the clear."""

    def __init__(self, target: int, shown: Certificate) -> None:
        self._target = target
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(shown.file, shown.key)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, name="tls-door", daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), client, socket.create_connection(("127.0.0.1", self._target), timeout=5) as server:
            server.settimeout(None)
            with self._context.wrap_socket(client, server_side=True) as spoken:
                back = threading.Thread(target=_pump, args=(server, spoken), daemon=True)
                back.start()
                _pump(spoken, server)
                back.join(5)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)
