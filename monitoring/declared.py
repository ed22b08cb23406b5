"""Every metric of the product, declared once: what README lists and what `/metrics` may show.

Labels are the names and numbers of registered versions, protocols, error codes and other words of our own only.
"""

from __future__ import annotations

from dataclasses import dataclass

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
WAITED = (*SECONDS, 30.0, 60.0, 300.0, 1800.0)
ROWS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 1024.0, 10_000.0)
#: Symmetric about 0 and three to a decade: probabilities, logits, prices and degrees all fall into several of them.
_MAGNITUDES = tuple(round(step * 10.0**power, 9) for power in range(-2, 6) for step in (1, 2, 5))
VALUES = (*(-value for value in reversed(_MAGNITUDES)), 0.0, *_MAGNITUDES)
MOST_CHILDREN = 2000
SERVICES = ("postgresql", "redis", "rabbitmq", "elasticsearch")

VERSION = ("project", "model", "version")


@dataclass(frozen=True, slots=True)
class Declared:
    """One metric: what README lists and what `/metrics` may show."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    #: The values its one label can have, where they are known: a counter shows them as 0 before the first count,
    #: for Prometheus sees no increase in a series that begins at 1.
    values: tuple[str, ...] = ()


PREDICTIONS = Declared(
    "serving_predictions_total", "counter", "Predictions that ended.", (*VERSION, "protocol", "status")
)
ERRORS = Declared(
    "serving_errors_total", "counter", "Predictions that ended with an error, by its code.", (*VERSION, "code")
)
REFUSALS = Declared(
    "serving_refusals_total", "counter", "Requests refused before a version was chosen.", ("protocol", "code")
)
PREDICTION_SECONDS = Declared(
    "serving_prediction_seconds",
    "histogram",
    "From acceptance to answer.",
    (*VERSION, "protocol"),
    WAITED,
)
QUEUE_SECONDS = Declared(
    "serving_queue_seconds",
    "histogram",
    "From acceptance to the beginning of inference.",
    (*VERSION, "protocol"),
    WAITED,
)
INFERENCE_SECONDS = Declared(
    "serving_inference_seconds", "histogram", "Inside the model.", (*VERSION, "protocol"), SECONDS
)
ENCODE_SECONDS = Declared(
    "serving_encode_seconds", "histogram", "From the model's outputs to the answer.", (*VERSION, "protocol"), SECONDS
)
BATCH_ROWS = Declared("serving_batch_rows", "histogram", "Rows of one call of the model.", VERSION, ROWS)
PREDICTED_CLASSES = Declared(
    "serving_predicted_classes_total",
    "counter",
    "Recorded instances by the class they were given; beyond 50 classes of a version the rest is other.",
    (*VERSION, "class"),
)
OUTPUT_VALUES = Declared(
    "serving_output_values",
    "histogram",
    "Numbers that recorded instances were given, by the output's name; at most 4 outputs of a version.",
    (*VERSION, "output"),
    VALUES,
)
OPEN_PREDICTIONS = Declared(
    "serving_open_predictions", "gauge", "Accepted predictions that have not ended.", ("project", "model")
)
LEASE_EXPIRIES = Declared("serving_lease_expiries_total", "counter", "Claims of workers that ran out.")
RETRIES = Declared("serving_retries_total", "counter", "Nudges sent again by the keeper.")
KEEPER_ROWS = Declared(
    "serving_keeper_rows_total",
    "counter",
    "Rows the keeper worked on: ended (past their time), returned (their lease ran out), nudged, recorded.",
    ("work",),
    values=("ended", "returned", "nudged", "recorded"),
)
QUEUE_ENDED = Declared(
    "serving_queue_ended_total", "counter", "Predictions that ended, by the queue they came from.", ("queue",)
)
WORKER_BUSY = Declared(
    "serving_worker_busy_seconds_total", "counter", "Seconds the threads of this worker spent on batches, added up."
)
WORKER_THREADS = Declared(
    "serving_worker_threads", "gauge", "Threads of this worker that take batches; busy seconds have this many a second."
)
DEAD_LETTERS = Declared(
    "serving_dead_letters_total",
    "counter",
    "Messages no worker took, by why: delivery_limit, rejected, expired, maxlen, unrouted.",
    ("reason",),
    values=("delivery_limit", "rejected", "expired", "maxlen", "unrouted"),
)
RECORDS = Declared(
    "serving_records_total",
    "counter",
    "Records by what became of them: written, duplicate, conflict, rejected, lost.",
    ("outcome",),
    values=("written", "duplicate", "conflict", "rejected", "lost"),
)
SPOOL_BYTES = Declared("serving_spool_bytes", "gauge", "Bytes of calls that wait for the record store.")
SPOOL_CALLS = Declared("serving_spool_calls", "gauge", "Calls that wait for the record store.")
SPOOL_OLDEST = Declared("serving_spool_oldest_seconds", "gauge", "Age of the oldest call that waits.")
SPOOL_DISK = Declared("serving_spool_disk_bytes", "gauge", "Size of the spool's segments on disk; its limit caps this.")
LOG_LINES = Declared(
    "serving_log_lines_total",
    "counter",
    "Log lines by what became of them: spooled, dropped (queue or spool full), sampled (too many of a kind), stored, "
    "duplicate, rejected.",
    ("outcome",),
    values=("spooled", "dropped", "sampled", "stored", "duplicate", "rejected"),
)
LOG_SPOOL_BYTES = Declared("serving_log_spool_bytes", "gauge", "Bytes of log lines that wait for the log store.")
LOG_SPOOL_DISK = Declared("serving_log_spool_disk_bytes", "gauge", "Size of the log spool's segments on disk.")
SPOOL_REFUSALS = Declared("serving_spool_refusals_total", "counter", "Calls refused because the spool was full.")
LOADED_MODELS = Declared("serving_loaded_models", "gauge", "Versions ready to predict in this process.")
MODEL_MEMORY = Declared("serving_model_memory_bytes", "gauge", "Memory a loaded version was measured at.", VERSION)
CACHE_REQUESTS = Declared(
    "serving_cache_requests_total",
    "counter",
    "Predictions of models with a response cache, by what it did: hit, miss, collapsed, bypass.",
    (*VERSION, "result"),
)
CACHE_BYTES = Declared("serving_cache_bytes", "gauge", "Answers kept in this process; its limit caps this.")
VERSION_CIRCUIT = Declared(
    "serving_version_circuit_state",
    "gauge",
    "Whether a version whose process kept dying is asked: 0 by all, 0.5 by one who tries for all, 1 by nobody.",
    VERSION,
)
SNAPSHOT_AGE = Declared(
    "serving_snapshot_age_seconds", "gauge", "Since the registry was last read; grows while the database is away."
)
REDIS_FAILURES = Declared(
    "serving_redis_failures_total",
    "counter",
    "Calls of Redis that failed, or were skipped while it was taken for away.",
    ("outcome",),
    values=("failed", "skipped"),
)
CIRCUIT_STATE = Declared(
    "serving_circuit_state",
    "gauge",
    "Whether a service is asked: 0 by all, 0.5 by one who tries for all, 1 by nobody; of one process the most open.",
    ("service",),
)
CIRCUIT_OPENED = Declared(
    "serving_circuit_opened_total", "counter", "Times a service was taken for away.", ("service",), values=SERVICES
)
CIRCUIT_REFUSALS = Declared(
    "serving_circuit_refusals_total",
    "counter",
    "Calls of a service that were told at once that it is away.",
    ("service",),
    values=SERVICES,
)
QUEUE_DEPTH = Declared("serving_queue_depth", "gauge", "Predictions of the ledger that wait for a worker.", ("queue",))
QUEUE_OLDEST = Declared("serving_queue_oldest_seconds", "gauge", "Age of the oldest prediction that waits.", ("queue",))
UNRECORDED = Declared(
    "serving_unrecorded_rows", "gauge", "Ended predictions of the ledger whose record is not in the store yet."
)
PART_OK = Declared(
    "serving_part_ok", "gauge", "1 while a part of this process's health is ok, 0 while degraded or down.", ("part",)
)

#: All of them, in the order above.
DECLARED: tuple[Declared, ...] = tuple(item for item in list(globals().values()) if isinstance(item, Declared))
BY_NAME = {item.name: item for item in DECLARED}
