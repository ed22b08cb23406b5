"""The only reader of the environment: every variable, its type and default, read once; a bad value fails loudly.

README's settings table is made from `VARIABLES`, and a test holds the two together.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

from serving_site import capacity

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Variable:
    """One setting: how it is read, what it is when absent, what it does."""

    name: str
    kind: str
    default: Any
    meaning: str


VARIABLES: dict[str, Variable] = {}


def read(name: str, kind: str, default: Any, meaning: str) -> Any:
    """Read one variable as str, int, float, bool or list; `NAME_FILE` names a file that holds the value.

    Raises `ImproperlyConfigured` naming the variable when the value is not of its kind.
    """
    VARIABLES[name] = Variable(name, kind, default, meaning)
    text = _text(name)
    if text == "":
        return default
    reader = environ.Env()
    reader.ENVIRON = {name: text}
    try:
        return getattr(reader, kind)(name)
    except (ValueError, TypeError, KeyError) as error:
        raise ImproperlyConfigured(f"{name} is not a valid {kind}: {text!r}") from error


def _text(name: str) -> str:
    file = os.environ.get(f"{name}_FILE")
    if not file or name in os.environ:
        return os.environ.get(name, "")
    try:
        return Path(file).read_text().strip()
    except OSError as error:
        raise ImproperlyConfigured(f"{name}_FILE: {error}") from error


HOST = read("HOST", "str", "127.0.0.1", "Address the server listens on.")
PORT = read("PORT", "int", 8000, "Port the server listens on.")
DATA_DIR = Path(
    read("DATA_DIR", "str", str(ROOT / "var"), "Folder of the database, artefacts, spool and demo secrets.")
)
DEBUG = read("DEBUG", "bool", False, "Django's debug pages; never on a server others can reach.")
STATIC_ROOT = read("STATIC_ROOT", "str", "", "Folder of collected static files; absent: served from the packages.")
SECRET_KEY = read("SECRET_KEY", "str", "", "Signs sessions; made and kept in the data folder when absent.")
ALLOWED_HOSTS = read("ALLOWED_HOSTS", "list", [], "Host names that are answered; loopback names when absent.")
TLS = read("TLS", "bool", False, "A proxy in front speaks TLS for this server and sets X-Forwarded-Proto.")
CSRF_TRUSTED_ORIGINS = read("CSRF_TRUSTED_ORIGINS", "list", [], "Origins (with scheme) whose forms are taken.")

ADMIN_USER = read("ADMIN_USER", "str", "admin", "First administrator, made by `manage.py set_up` where there is none.")
ADMIN_PASSWORD = read("ADMIN_PASSWORD", "str", "", "That administrator's password; absent: none is made.")
DEMO_MODELS = read("DEMO_MODELS", "bool", False, "Let `manage.py set_up` train and publish the four demo models.")

DATABASE_URL = read(
    "DATABASE_URL", "str", "", "PostgreSQL, `postgres://user:password@host,host/name?sslmode=…`; absent: SQLite."
)
RABBITMQ_URL = read("RABBITMQ_URL", "str", "", "RabbitMQ, nodes separated by `;`; absent: in-process queues.")
RABBITMQ_CA_FILE = read("RABBITMQ_CA_FILE", "str", "", "Certificates that RabbitMQ's (`amqps://`) is checked against.")
QUORUM_SIZE = read("QUORUM_SIZE", "int", 0, "Replicas of a queue; 0: as RabbitMQ decides.")
REDIS_URL = read(
    "REDIS_URL",
    "str",
    "",
    "Redis for cache: `redis://` or `rediss://` (TLS), also `redis+sentinel://host:port,host:port/service/0` and "
    "`redis+cluster://host:port,host:port`; absent: in-process cache.",
)
REDIS_RESULTS_URL = read(
    "REDIS_RESULTS_URL", "str", "", "Redis for hot results and wake-ups, in the same forms; absent: REDIS_URL."
)
REDIS_CA_FILE = read("REDIS_CA_FILE", "str", "", "Certificates that Redis' own is checked by; absent: the system's.")
ELASTICSEARCH_URL = read(
    "ELASTICSEARCH_URL", "str", "", "Elasticsearch, nodes separated by `,`; absent: records in the database."
)
ELASTICSEARCH_CA_FILE = read(
    "ELASTICSEARCH_CA_FILE", "str", "", "Certificates that Elasticsearch's (`https://`) are checked against."
)
ELASTICSEARCH_API_KEY = read("ELASTICSEARCH_API_KEY", "str", "", "Key for Elasticsearch, instead of user and password.")
INDEX_ENVIRONMENT = read("INDEX_ENVIRONMENT", "str", "default", "Part of the names of the record indices.")
INDEX_SHARDS = read("INDEX_SHARDS", "int", 1, "Shards of a day's record index.")
INDEX_REPLICAS = read("INDEX_REPLICAS", "int", 0, "Replicas of a day's record index.")
INDEX_REFRESH_S = read("INDEX_REFRESH_S", "int", 1, "Seconds until a stored record is found.")
ARTIFACT_URL = read(
    "ARTIFACT_URL",
    "str",
    "",
    "Where artefacts live: a folder, or an S3-compatible store, `s3://bucket/prefix?endpoint=https://…&region=…`; "
    "absent: a folder in the data folder.",
)
ARTIFACT_ACCESS_KEY = read("ARTIFACT_ACCESS_KEY", "str", "", "Access key of the store; absent: what the host offers.")
ARTIFACT_SECRET_KEY = read("ARTIFACT_SECRET_KEY", "str", "", "Secret key of the store.")
ARTIFACT_CA_FILE = read("ARTIFACT_CA_FILE", "str", "", "Certificates that the store's own is checked by.")
ARTIFACT_CACHE_LIMIT = read(
    "ARTIFACT_CACHE_LIMIT",
    "int",
    10 * 2**30,
    "Most bytes of local copies of what lies in an S3-compatible store; what was opened longest ago goes first.",
)

SERVING_ROLE = read(
    "SERVING_ROLE",
    "str",
    "",
    "What this process is: `web` is set by `manage.py serve`, others name it towards PostgreSQL; not by you.",
)
#: Names and addresses no other machine can reach.
LOOPBACK = ("127.0.0.1", "localhost", "::1")
ANONYMOUS_PROJECT = read(
    "ANONYMOUS_PROJECT",
    "str",
    "demo" if SERVING_ROLE == "web" and not RABBITMQ_URL and HOST in LOOPBACK else "",
    "Project that requests without a key act for (predict, read); loopback and embedded only. "
    "`manage.py serve` on loopback: demo; `-`: none.",
).removeprefix("-")
METRICS_NETWORKS = read(
    "METRICS_NETWORKS", "list", ["127.0.0.0/8", "::1/128"], "Networks that may read /metrics without a key."
)
SERVER_PROCESSES = read(
    "SERVER_PROCESSES",
    "int",
    0,
    "Server processes on this host; more than one needs RABBITMQ_URL. 0: one embedded, else one per usable core as far "
    "as memory goes.",
) or capacity.processes(embedded=not RABBITMQ_URL)
BLOCKING_THREADS = read(
    "BLOCKING_THREADS", "int", 0, "Threads of one server process. 0: 64, or 16 at least where memory is scarce."
) or capacity.threads(SERVER_PROCESSES)
BACKPRESSURE = read(
    "BACKPRESSURE",
    "int",
    0,
    "Connections that one server process serves at once; more wait unaccepted. 0: 16 per thread, 1024 at least.",
) or capacity.connections(BLOCKING_THREADS)
ONLINE_BODY_LIMIT = read("ONLINE_BODY_LIMIT", "int", 16 * 2**20, "Largest online request, bytes.")
QUEUED_BODY_LIMIT = read("QUEUED_BODY_LIMIT", "int", 8 * 2**20, "Largest queued request, bytes.")
UPLOAD_LIMIT = read("UPLOAD_LIMIT", "int", 512 * 2**20, "Largest artefact, bytes.")
ROW_LIMIT = read("ROW_LIMIT", "int", 10_000, "Most instances in one request.")
OUTPUT_LIMIT = read("OUTPUT_LIMIT", "int", 8 * 2**20, "Largest answer, bytes.")
REQUEST_LIMIT_S = read("REQUEST_LIMIT_S", "float", 30.0, "Seconds after which any request is answered.")
PREDICTION_DEADLINE_S = read("PREDICTION_DEADLINE_S", "float", 86_400.0, "Seconds a queued prediction may take in all.")
MODEL_MEMORY_LIMIT = read(
    "MODEL_MEMORY_LIMIT",
    "int",
    4 * 2**30,
    "Most bytes of loaded versions in one process, as publishing measured them; beyond it the least recently used is "
    "unloaded, and loaded again when asked for. 0: no bound.",
)
RESPONSE_CACHE_LIMIT = read(
    "RESPONSE_CACHE_LIMIT", "int", 64 * 2**20, "Most bytes of answers one server process keeps for models with a cache."
)
MAX_ATTEMPTS = read("MAX_ATTEMPTS", "int", 3, "Tries of a queued prediction that loses its worker or cannot load.")
LEASE_S = read("LEASE_S", "float", 15.0, "Seconds a worker's claim on a prediction holds; renewed at a third of it.")
KEEPER_INTERVAL_S = read("KEEPER_INTERVAL_S", "float", 1.0, "Seconds between two rounds of the keeper.")
RESULT_TTL = read("RESULT_TTL", "int", 3600, "Seconds a finished prediction stays in the cache.")
LEDGER_RETENTION_S = read(
    "LEDGER_RETENTION_S", "float", 7 * 86_400.0, "Seconds a recorded prediction stays in the ledger."
)
RECORD_RETENTION_S = read(
    "RECORD_RETENTION_S", "float", 90 * 86_400.0, "Seconds a record stays in the record store; whole days are dropped."
)
EXPORTS_DIR = read(
    "EXPORTS_DIR", "str", "", "Folder of exported records, shared by server and workers; absent: in the data folder."
)
EXPORT_LIMIT = read("EXPORT_LIMIT", "int", 4 * 2**30, "Largest file of one export, bytes.")
EXPORT_TTL_S = read("EXPORT_TTL_S", "float", 86_400.0, "Seconds an export is kept.")
PRIVACY_KEY = read(
    "PRIVACY_KEY",
    "str",
    "",
    "Key of the hashes that stand for protected fields and subjects; absent: made from SECRET_KEY. With another key "
    "earlier subjects are not found.",
)
DATABASE_CONNECTIONS = read(
    "DATABASE_CONNECTIONS", "int", 16, "Most connections of one process to PostgreSQL, at most one per thread."
)
METRICS_HOST = read("METRICS_HOST", "str", "127.0.0.1", "Address of the metrics of a worker or keeper process.")
METRICS_PORT = read("METRICS_PORT", "int", 0, "Port of the metrics of a worker or keeper process; 0: none.")
LIVENESS_FILE = read(
    "LIVENESS_FILE", "str", "", "File a worker touches while it consumes, and after each task; absent: none."
)
SPOOL_LIMIT = read("SPOOL_LIMIT", "int", 2 * 2**30, "Most bytes of online records not yet in the record store.")
ANSWER_WITHOUT_RECORD = read(
    "ANSWER_WITHOUT_RECORD", "bool", False, "Answer online calls although the spool is full; what is lost is counted."
)
LEAVE_S = read(
    "LEAVE_S",
    "float",
    0,
    "Seconds a stopping server still serves while /health/ready says no: longer than a proxy's look.",
)
DRAIN_S = read("DRAIN_S", "float", 20.0, "Seconds a stopping server gives to what is running.")
CHILD_MEMORY_LIMIT = read("CHILD_MEMORY_LIMIT", "int", 2 * 2**30, "Address space of a model's process, bytes.")
PUBLISH_LIMIT_S = read("PUBLISH_LIMIT_S", "float", 300.0, "Seconds publishing one version may take.")
LOG_LEVEL = read("LOG_LEVEL", "str", "INFO", "Least level that is logged.")
MONITORING = read(
    "MONITORING",
    "bool",
    True,
    "Count, log into the store and ask services how they do; off only to measure what that costs.",
)
TRAFFIC = read(
    "TRAFFIC",
    "bool",
    False,
    "Send a few demo calls per second beside `manage.py serve`, so that pages have something to show.",
)
LOG_RATE = read("LOG_RATE", "int", 200, "Lines a second of one kind that are logged; how many were left out is told.")
LOG_SPOOL_LIMIT = read(
    "LOG_SPOOL_LIMIT",
    "int",
    256 * 2**20,
    "Most bytes of log lines not yet in the log store; beyond it they are dropped.",
)
LOG_RETENTION_S = read(
    "LOG_RETENTION_S", "float", 14 * 86_400.0, "Seconds a line stays in the log store; whole days are dropped."
)
FOLLOW_LOGS = read(
    "FOLLOW_LOGS",
    "list",
    [],
    "Logs of other programs that the keeper reads into the log store: `rabbitmq:/path`, `redis:/path`, "
    "`postgresql:/path`; a path may have `*`.",
)
OTEL_EXPORTER_OTLP_ENDPOINT = read(
    "OTEL_EXPORTER_OTLP_ENDPOINT", "str", "", "Where traces go, `http://collector:4318`; absent: no spans are made."
)

#: The address to reach the server at from this machine; a server on all addresses is on loopback too.
LOCAL_HOST = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(HOST, HOST)  # noqa: S104 - compared, not listened on
URL = f"http://{f'[{LOCAL_HOST}]' if ':' in LOCAL_HOST else LOCAL_HOST}:{PORT}"
#: True when nothing but this machine's files is needed; each URL replaces one embedded part.
EMBEDDED = not RABBITMQ_URL
