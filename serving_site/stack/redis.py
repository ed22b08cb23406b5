"""A private Redis. The cache may forget (allkeys-lru); results must not be evicted by it, so there are two."""

from __future__ import annotations

from pathlib import Path

from serving_site.stack.server import Server, folder_for, free_port, launch, program


def start(root: Path, *, name: str, policy: str, port: int | None = None, maxmemory: str = "256mb") -> Server:
    """Start it in `root/<name>` with the given eviction policy; nothing is written to disk."""
    folder = folder_for(root, name)
    port = port or free_port()
    return launch(
        name,
        [
            program("redis-server"),
            *("--port", str(port)),
            *("--bind", "127.0.0.1"),
            *("--dir", folder),
            *("--save", ""),
            *("--appendonly", "no"),
            *("--maxmemory", maxmemory),
            *("--maxmemory-policy", policy),
            # A title is written over the environment that it is known by (`abandoned`).
            *("--set-proc-title", "no"),
        ],
        folder=folder,
        port=port,
        url=f"redis://127.0.0.1:{port}/0",
    )
