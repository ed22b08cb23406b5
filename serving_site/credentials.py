"""The secrets of a first start: `python -m serving_site.credentials <folder>` makes what is missing, and nothing else.

One folder for each who reads them, so that a container gets its own and no other's:

    ours/       secret_key, admin_password, database_url, rabbitmq_url, rabbitmq_management_url, redis_url,
                redis_results_url, checkout.env (all of them as profile `dev` publishes the engines)
    postgres/   password, replication_password
    rabbitmq/   serving.conf      default user and password, read at its first start
                erlang_cookie     of a cluster's nodes
    redis/      cache.conf, results.conf, sentinel.conf
    grafana/    password

Beside each URL there is a `cluster_…` one, which names the copies that docker/compose.cluster.yml adds;
`rabbitmq_management_url` is for KEDA, which asks from another namespace of Kubernetes.

What exists is kept: a second start finds the passwords that the services' data were made with.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable
from pathlib import Path

USER = DATABASE = "serving"
#: Octets of chance in each; written as text that needs no quoting in a URL or a configuration file.
ENTROPY = 24


def make(folder: Path) -> list[Path]:
    """Write every file that is missing below `folder`; return those that were written."""
    written = []
    for name, content in _FILES.items():
        path = folder / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, content(folder))
            written.append(path)
    return written


def _password(folder: Path, name: str) -> str:
    """One password, made on first use and kept hidden in `ours/`, so that a file and the URL that carries it agree."""
    path = folder / "ours" / f".{name}"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, secrets.token_urlsafe(ENTROPY))
    return path.read_text()


def _write(path: Path, content: str) -> None:
    """Whole or not at all. Other users' programs read it: who may is decided by who mounts the folder."""
    draft = path.with_name(f"{path.name}.new")
    with open(os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o444), "w") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _redis(name: str, policy: str) -> Callable[[Path], str]:
    return lambda folder: (
        f"requirepass {_password(folder, name)}\nmasterauth {_password(folder, name)}\n"
        f"maxmemory-policy {policy}\nmaxmemory 256mb\n"
        'save ""\nappendonly no\nprotected-mode no\nbind * -::*\n'
    )


def _sentinel(folder: Path) -> str:
    """Two of three agree within 3 s that a Redis is gone, and make its replica the one that is written to."""
    lines = ["protected-mode no", "sentinel resolve-hostnames yes", "sentinel announce-hostnames yes"]
    for service, host in (("cache", "redis-cache"), ("results", "redis-results")):
        lines += [
            f"sentinel monitor {service} {host} 6379 2",
            f"sentinel auth-pass {service} {_password(folder, host)}",
            f"sentinel down-after-milliseconds {service} 3000",
            f"sentinel failover-timeout {service} 20000",
        ]
    return "\n".join(lines) + "\n"


def _brokers(folder: Path) -> str:
    nodes = ("rabbitmq", "rabbitmq-2", "rabbitmq-3")
    return ";".join(_url("amqp", "rabbitmq", f"{node}:5672//")(folder) for node in nodes)


def _checkout(folder: Path) -> str:
    """The engines under the ports that docker/dev/haproxy.cfg gives them, as variables of a process on the host."""
    urls = {
        "DATABASE_URL": _url("postgres", "postgres", f"127.0.0.1:5432/{DATABASE}"),
        "RABBITMQ_URL": _url("amqp", "rabbitmq", "127.0.0.1:5672//"),
        "REDIS_URL": _url("redis", "redis-cache", "127.0.0.1:6379/0", user=""),
        "REDIS_RESULTS_URL": _url("redis", "redis-results", "127.0.0.1:6380/0", user=""),
    }
    lines = [f"{name}={url(folder)}" for name, url in urls.items()]
    return "\n".join([*lines, "ELASTICSEARCH_URL=http://127.0.0.1:9200", ""])


def _url(scheme: str, name: str, address: str, user: str = USER) -> Callable[[Path], str]:
    return lambda folder: f"{scheme}://{user}:{_password(folder, name)}@{address}"


_SENTINELS = ",".join(f"sentinel-{number}:26379" for number in (1, 2, 3))
_FILES: dict[str, Callable[[Path], str]] = {
    "ours/secret_key": lambda _: secrets.token_urlsafe(50),
    "ours/admin_password": lambda folder: _password(folder, "admin"),
    "ours/database_url": _url("postgres", "postgres", f"postgres:5432/{DATABASE}"),
    "ours/rabbitmq_url": _url("amqp", "rabbitmq", "rabbitmq:5672//"),
    "ours/rabbitmq_management_url": _url("http", "rabbitmq", "rabbitmq.serving.svc:15672"),
    "ours/redis_url": _url("redis", "redis-cache", "redis-cache:6379/0", user=""),
    "ours/redis_results_url": _url("redis", "redis-results", "redis-results:6379/0", user=""),
    "ours/cluster_database_url": _url(
        "postgres", "postgres", f"postgres:5432,postgres-standby:5432/{DATABASE}?target_session_attrs=read-write"
    ),
    "ours/cluster_rabbitmq_url": _brokers,
    "ours/cluster_redis_url": _url("redis+sentinel", "redis-cache", f"{_SENTINELS}/cache/0", user=""),
    "ours/cluster_redis_results_url": _url("redis+sentinel", "redis-results", f"{_SENTINELS}/results/0", user=""),
    "ours/checkout.env": _checkout,
    "postgres/password": lambda folder: _password(folder, "postgres"),
    "postgres/replication_password": lambda folder: _password(folder, "replication"),
    "rabbitmq/erlang_cookie": lambda folder: _password(folder, "erlang"),
    "rabbitmq/serving.conf": lambda folder: f"default_user = {USER}\ndefault_pass = {_password(folder, 'rabbitmq')}\n",
    "redis/cache.conf": _redis("redis-cache", "allkeys-lru"),
    "redis/results.conf": _redis("redis-results", "noeviction"),
    "redis/sentinel.conf": _sentinel,
    "redis/cache_password": lambda folder: _password(folder, "redis-cache"),
    "redis/results_password": lambda folder: _password(folder, "redis-results"),
    "grafana/password": lambda folder: _password(folder, "grafana"),
}

if __name__ == "__main__":
    for made in make(Path(sys.argv[1])):
        print(f"made {made}", flush=True)
