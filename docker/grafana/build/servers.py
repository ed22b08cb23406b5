"""Section of the overview about the servers behind us and their machine, as their own exporters tell it."""

from __future__ import annotations

from typing import Any

from panels import HEALTH, METRICS, QUEUED, THIRD, Text, behind, series
from queries import prom

_DISKS = 'fstype!~"tmpfs|ramfs|overlay|squashfs"'
_REDIS = "Redis {{role}} {{instance}}"


def servers() -> list[Any]:
    return [_connections(), _memory(), _disk(), *_redis(), *_postgres(), _elasticsearch(), _machine()]


def _connections() -> Any:
    return series(
        Text(
            "Connections to servers",
            "Clients connected to each server; one that only rises is a leak.",
            "No server's exporter is read",
        ),
        prom("sum(rabbitmq_connections)", "RabbitMQ"),
        prom("redis_connected_clients", _REDIS),
        prom("sum by (instance) (pg_stat_activity_count)", "PostgreSQL {{instance}}"),
        unit="short",
        links=[HEALTH],
        span=THIRD,
    )


def _memory() -> Any:
    """A Redis without a limit has a limit of 0 and no share."""
    heap = 'elasticsearch_jvm_memory_{}_bytes{{area="heap"}}'
    return series(
        Text(
            "Memory of servers",
            "Share of what each may take. At 100 % RabbitMQ takes no message, Redis evicts or refuses, and "
            "Elasticsearch collects garbage and breaks off searches.",
            "No server's exporter is read",
        ),
        prom("rabbitmq_process_resident_memory_bytes / rabbitmq_resident_memory_limit_bytes", "RabbitMQ {{instance}}"),
        prom("redis_memory_used_bytes / redis_memory_max_bytes < Inf", _REDIS),
        prom(f"{heap.format('used')} / {heap.format('max')}", "Elasticsearch heap {{name}}"),
        unit="percentunit",
        links=[HEALTH],
        span=THIRD,
    )


def _disk() -> Any:
    return series(
        Text(
            "Disk free",
            "Share of each disk that is free. Elasticsearch places no shard below 15 % and writes none below 5 %.",
            "No exporter tells of a disk",
        ),
        prom(f"node_filesystem_avail_bytes{{{_DISKS}}} / node_filesystem_size_bytes", "{{mountpoint}} {{instance}}"),
        prom(
            "elasticsearch_filesystem_data_available_bytes / elasticsearch_filesystem_data_size_bytes",
            "Elasticsearch {{name}}",
        ),
        unit="percentunit",
        links=[HEALTH, METRICS],
        span=THIRD,
    )


def _redis() -> list[Any]:
    unread = "No Redis exporter is read"
    return [
        series(
            Text("Memory of Redis", "Bytes that keys and buffers take.", unread),
            prom("redis_memory_used_bytes", _REDIS),
            unit="bytes",
            links=[HEALTH],
            span=THIRD,
        ),
        series(
            Text(
                "Keys that Redis evicted",
                "Per second, for want of memory: usual in the cache, wrong in the one for results.",
                unread,
            ),
            prom("rate(redis_evicted_keys_total[$__rate_interval])", _REDIS),
            unit="ops",
            links=[HEALTH],
            span=THIRD,
        ),
    ]


def _postgres() -> list[Any]:
    """The exporter of Debian 12 reads tables only by `docker/prometheus/exporters/postgres.yml`, as `pg_tables_…`."""
    unread = "No PostgreSQL exporter is read"
    ends = (("committed", "pg_stat_database_xact_commit"), ("rolled back", "pg_stat_database_xact_rollback"))
    dead = "pg_stat_user_tables_n_dead_tup or pg_tables_n_dead_tup"
    return [
        series(
            Text("Transactions of PostgreSQL", "Per second, over all its databases.", unread),
            *(prom(f"sum(rate({metric}[$__rate_interval]))", name) for name, metric in ends),
            unit="ops",
            links=[HEALTH],
            span=THIRD,
        ),
        series(
            Text(
                "Dead rows of PostgreSQL",
                "Rows of the five worst tables that a vacuum has yet to clear; rising for hours, vacuum is held up.",
                unread,
            ),
            prom(f"topk(5, max by (relname) ({dead}))", "{{relname}}"),
            unit="short",
            links=[QUEUED, HEALTH],
            span=THIRD,
        ),
    ]


def _elasticsearch() -> Any:
    waiting = (
        ("shards without a node", "elasticsearch_cluster_health_unassigned_shards"),
        ("shards starting", "elasticsearch_cluster_health_initializing_shards"),
        ("tasks waiting", "elasticsearch_cluster_health_number_of_pending_tasks"),
    )
    return series(
        Text(
            "Shards of Elasticsearch",
            "What the cluster has yet to do. A shard without a node is a replica too many, or records nobody finds.",
            "No Elasticsearch exporter is read",
        ),
        *(prom(f"max({metric})", name) for name, metric in waiting),
        unit="short",
        links=[behind(), HEALTH],
        span=THIRD,
    )


def _machine() -> Any:
    return series(
        Text("Machine", "Share of its memory and of its processor's time that is in use.", "No node exporter is read"),
        prom("1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes", "memory {{instance}}"),
        prom(
            '1 - avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[$__rate_interval]))',
            "processor {{instance}}",
        ),
        unit="percentunit",
        links=[METRICS],
        span=THIRD,
    )
