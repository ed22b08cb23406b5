"""A door to a server on loopback that can lose the server's answers, or be shut."""

from __future__ import annotations

import contextlib
import socket
import threading


class Proxy:
    """Forwards connections to 127.0.0.1:`port`.

    `losing`: requests arrive and are worked, their answers are not given on and the connection is cut.
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
        threading.Thread(target=self._pump, args=(client, server, False), daemon=True).start()
        self._pump(server, client, True)

    def _pump(self, source: socket.socket, target: socket.socket, answers: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if self.shut or (answers and self.losing):
                    self.lost += answers
                    break
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
