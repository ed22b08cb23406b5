"""A door to Elasticsearch on loopback that can lose its answers to bulk requests, or be shut."""

from __future__ import annotations

import contextlib
import socket
import threading


class Proxy:
    """Forwards connections to 127.0.0.1:`port`.

    `losing`: bulk requests arrive and are worked, their answers are not given on and the connection is cut; questions
    after health, of which there are many, are answered.
    `shut`: connections are cut at once.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self.losing = self.shut = False
        #: Answers that were not given on.
        self.lost = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        if self.shut:
            client.close()
            return
        try:
            server = socket.create_connection(("127.0.0.1", self._target), timeout=5)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        bulk = threading.Event()
        threading.Thread(target=self._ask, args=(client, server, bulk), daemon=True).start()
        self._answer(server, client, bulk)

    def _ask(self, client: socket.socket, server: socket.socket, bulk: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while (data := client.recv(65536)) and not self.shut:
                if b"/_bulk" in data.partition(b"\r\n")[0]:
                    bulk.set()
                server.sendall(data)
        _cut(client, server)

    def _answer(self, server: socket.socket, client: socket.socket, bulk: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while (data := server.recv(65536)) and not self.shut:
                if self.losing and bulk.is_set():
                    self.lost += 1
                    break
                client.sendall(data)
                bulk.clear()
        _cut(server, client)


def _cut(*ends: socket.socket) -> None:
    for end in ends:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
