"""Redis as django-redis and the wake-ups use it: short time-outs, no retries, bounded pools, and a breaker before all.

Redis only makes things fast here, so nobody waits for it: a call costs 0.2 s at most, and after three failures in a
row Redis is not asked for a second. Callers see `redis.ConnectionError`, which django-redis turns into a miss.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django_redis.exceptions import ConnectionInterrupted
from redis import Redis, RedisCluster
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode
from redis.connection import BlockingConnectionPool, Connection, SSLConnection
from redis.exceptions import ConnectionError as ConnectionFailed
from redis.exceptions import RedisClusterException
from redis.exceptions import TimeoutError as NotInTime
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelConnectionPool

from monitoring import guards, metrics
from monitoring.breaker import Breaker
from serving_site import redis_urls
from serving_site.redis_urls import Address

#: Seconds for one answer of Redis, for a connection to it, and for a free connection of the pool.
ANSWER_S = 0.2
CONNECT_S = 0.2
POOL_S = 0.1


class Guard:
    """Calls of one Redis behind one breaker, whose failures are counted."""

    def __init__(self, place: str, breaker: Breaker | None = None) -> None:
        self._guard = guards.Guard(
            "redis",
            place=place,
            refusal=_skipped,
            is_failure=_is_away,
            breaker=breaker or Breaker(failures=3),
            callers_count=True,
        )

    @contextmanager
    def call(self) -> Iterator[None]:
        """Raises `redis.ConnectionError` at once while Redis is taken for away."""
        try:
            with self._guard.call():
                yield
        except RedisClusterException as error:
            raise ConnectionFailed(str(error)) from error


def _skipped(reason: str) -> ConnectionFailed:
    metrics.count(metrics.REDIS_FAILURES, ("skipped",))
    return ConnectionFailed(reason)


def _is_away(error: BaseException) -> bool:
    if not isinstance(error, (ConnectionFailed, NotInTime, RedisClusterException, OSError)):
        return False
    metrics.count(metrics.REDIS_FAILURES, ("failed",))
    return True


class _Guarded:
    """What both kinds of client share: every command and every pipeline goes through the guard."""

    guard: Guard

    def execute_command(self, *args: Any, **options: Any) -> Any:
        with self.guard.call():
            return super().execute_command(*args, **options)  # type: ignore[misc]

    def pipeline(self, *args: Any, **options: Any) -> Any:
        pipeline = super().pipeline(*args, **options)  # type: ignore[misc]
        pipeline.execute = self._guarded(pipeline.execute)
        return pipeline

    def _guarded(self, execute: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(*args: Any, **options: Any) -> Any:
            with self.guard.call():
                return execute(*args, **options)

        return guarded


class GuardedRedis(_Guarded, Redis):
    """One server, or the primary of a service that sentinels watch."""

    def __init__(self, guard: Guard, **options: Any) -> None:
        self.guard = guard
        super().__init__(**options)


class GuardedCluster(_Guarded, RedisCluster):
    """A cluster: commands on several keys go to each node that holds some."""

    def __init__(self, guard: Guard, **options: Any) -> None:
        self.guard = guard
        super().__init__(**options)

    def mget(self, keys: Any, *args: Any, **_: Any) -> Any:
        return self.mget_nonatomic(keys, *args)


class BlockingSentinelPool(SentinelConnectionPool, BlockingConnectionPool):
    """Connections to the primary that the sentinels name; callers wait a moment for a free one."""


class Factory:
    """django-redis' connection factory: clients of a process are shared by its threads, one for each URL."""

    _clients: dict[str, Any] = {}
    _lock = threading.Lock()
    _guards: dict[str, Guard] = {}

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._connections = int(options.get("MAX_CONNECTIONS", 66))
        self._ca_file = options.get("CA_FILE") or None

    def connect(self, url: str) -> Any:
        """The client for a URL. Raises what django-redis turns into a miss when a cluster cannot be reached."""
        client = self._clients.get(url)
        if client is not None:
            return client
        address = redis_urls.parse(url)
        with self._lock:
            guard = self._guards.setdefault(url, Guard(",".join(f"{name}:{port}" for name, port in address.hosts)))
        try:
            client = self._made(address, guard)
        except ConnectionFailed as error:
            raise ConnectionInterrupted(connection=None) from error
        with self._lock:
            return self._clients.setdefault(url, client)

    def disconnect(self, connection: Any) -> None:
        connection.close()

    def _made(self, address: Address, guard: Guard) -> Any:
        if address.form == "single":
            return GuardedRedis(guard, connection_pool=self._pool(address))
        if address.form == "sentinel":
            return GuardedRedis(guard, connection_pool=self._sentinel_pool(address))
        # A cluster is asked for its nodes when its client is made.
        with guard.call():
            return self._cluster(address, guard)

    def _pool(self, address: Address) -> BlockingConnectionPool:
        ((host, port),) = address.hosts
        return BlockingConnectionPool(  # type: ignore[no-untyped-call]
            host=host,
            port=port,
            db=address.db,
            max_connections=self._connections,
            timeout=POOL_S,
            connection_class=SSLConnection if address.tls else Connection,
            **self._options(address),
        )

    def _sentinel_pool(self, address: Address) -> BlockingSentinelPool:
        asking = {**_waits(), **self._tls(address, named=True), "password": address.sentinel_password}
        return BlockingSentinelPool(
            address.service,
            Sentinel(list(address.hosts), sentinel_kwargs=asking),  # type: ignore[no-untyped-call]
            db=address.db,
            max_connections=self._connections,
            timeout=POOL_S,
            **self._options(address, named=True),
        )

    def _cluster(self, address: Address, guard: Guard) -> GuardedCluster:
        return GuardedCluster(
            guard,
            startup_nodes=[ClusterNode(*host) for host in address.hosts],  # type: ignore[no-untyped-call]
            max_connections=self._connections,
            **self._options(address, named=True),
        )

    def _options(self, address: Address, *, named: bool = False) -> dict[str, Any]:
        who = {"username": address.username, "password": address.password}
        return {**_waits(), **who, **self._tls(address, named=named), "health_check_interval": 15}

    def _tls(self, address: Address, *, named: bool) -> dict[str, Any]:
        """`named`: for classes that choose TLS by an argument instead of by their connection class."""
        if not address.tls:
            return {}
        return {"ssl_ca_certs": self._ca_file, **({"ssl": True} if named else {})}


def _waits() -> dict[str, Any]:
    return {"socket_timeout": ANSWER_S, "socket_connect_timeout": CONNECT_S, "retry": Retry(NoBackoff(), 0)}
