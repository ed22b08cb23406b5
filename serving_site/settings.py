"""Django's settings, one flat file. Everything that differs between places comes from `env`."""
# long: settings are looked for in one flat file.

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path

from celery.schedules import crontab

from monitoring.declared import SECONDS
from serving_site import addresses, env, hidden, navigation, redis_urls, topology

BASE_DIR = env.ROOT
DATA_DIR = env.DATA_DIR
DATA_DIR.mkdir(parents=True, exist_ok=True)


def _secret_key() -> str:
    """The key kept in the data folder, made on first use, so that sessions outlive a restart."""
    path = DATA_DIR / "secret_key"
    try:
        with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(50))
    except FileExistsError:
        pass
    return path.read_text()


DEBUG = env.DEBUG
SECRET_KEY = env.SECRET_KEY or _secret_key()
#: Key of the hashes that stand for protected fields and subjects.
PRIVACY_KEY = hashlib.sha256(b"privacy\0" + (env.PRIVACY_KEY or SECRET_KEY).encode()).digest()
LOOPBACK_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
ALLOWED_HOSTS = env.ALLOWED_HOSTS or LOOPBACK_HOSTS
CSRF_TRUSTED_ORIGINS = env.CSRF_TRUSTED_ORIGINS
EMBEDDED = env.EMBEDDED
ANONYMOUS_PROJECT = env.ANONYMOUS_PROJECT

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_celery_results",
    "django_prometheus",
    "serving_site",
    "predictions",
    "models_registry",
    "monitoring",
]
MIDDLEWARE = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "monitoring.logs.AccessLog",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "monitoring.requests.CountedRequests",
]
#: Off: nothing is counted, no line goes to the log store, no service is asked in the background.
MONITORING = env.MONITORING
if not MONITORING:
    MIDDLEWARE = [name for name in MIDDLEWARE if not name.startswith(("django_prometheus.", "monitoring."))]
ROOT_URLCONF = "serving_site.urls"
WSGI_APPLICATION = "serving_site.wsgi.application"
APPEND_SLASH = False
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# Rows ------------------------------------------------------------------------------------------------------
if env.DATABASE_URL:
    from serving_site import postgres

    _CONNECTIONS = min(env.DATABASE_CONNECTIONS, env.BLOCKING_THREADS)
    DATABASES = {"default": postgres.settings(env.DATABASE_URL, role=env.SERVING_ROLE, connections=_CONNECTIONS)}
else:
    DATABASES = {
        "default": {
            "ENGINE": "serving_site.engines.sqlite3",
            "NAME": DATA_DIR / "serving.sqlite3",
            "OPTIONS": {
                "transaction_mode": "IMMEDIATE",
                # Groups of every size make statements of every length; 128 compiled ones per thread cost 40 MB in all.
                "cached_statements": 16,
                "timeout": 5,
                # FULL: a commit is on disk before it is acknowledged, which is what acceptance means.
                # A small cache per connection: each of the threads has one, and the system caches the file for all.
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=5000; "
                "PRAGMA cache_size=-512;",
            },
            "CONN_MAX_AGE": None,
        }
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Cache and hot results -------------------------------------------------------------------------------------
if env.REDIS_URL:
    # One connection for each thread, one for the thread that hears wake-ups, one to spare.
    _REDIS = {"connections": env.BLOCKING_THREADS + 2, "ca_file": env.REDIS_CA_FILE}
    CACHES = {
        "default": redis_urls.cache(env.REDIS_URL, prefix="serving", **_REDIS),
        "results": redis_urls.cache(env.REDIS_RESULTS_URL or env.REDIS_URL, prefix="serving-results", **_REDIS),
    }
else:
    _LOCAL = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "OPTIONS": {"MAX_ENTRIES": 4_000}}
    CACHES = {"default": {**_LOCAL, "LOCATION": "default"}, "results": {**_LOCAL, "LOCATION": "results"}}
#: What carries wake-ups from who ends a prediction to who waits for it, by name.
WAKE_UPS = "predictions.queued.redis_wakeups.RedisWakeUps" if env.REDIS_URL else "predictions.queued.waiting.InProcess"

# Work ------------------------------------------------------------------------------------------------------
POOLS = ["default"]
PRIORITIES = ["interactive", "standard", "bulk"]
OPERATIONS_QUEUE = "operations"
QUORUM_SIZE = env.QUORUM_SIZE
if env.EMBEDDED:
    CELERY_BROKER_URL = "memory://"
    # Woken by a message instead of polling for one.
    CELERY_BROKER_TRANSPORT = "serving_site.memory_transport:Transport"
else:
    _BROKERS = addresses.brokers(env.RABBITMQ_URL)
    CELERY_BROKER_URL = ";".join(_BROKERS)
    CELERY_BROKER_USE_SSL = addresses.broker_tls(_BROKERS, env.RABBITMQ_CA_FILE)
CELERY_TASK_QUEUES = topology.queues(
    [OPERATIONS_QUEUE, *(f"predictions.{pool}.{priority}" for pool in POOLS for priority in PRIORITIES)],
    embedded=env.EMBEDDED,
    quorum_size=env.QUORUM_SIZE,
)
CELERY_TASK_DEFAULT_QUEUE = OPERATIONS_QUEUE
CELERY_TASK_DEFAULT_EXCHANGE = "serving"
CELERY_TASK_DEFAULT_EXCHANGE_TYPE = "topic"
CELERY_TASK_DEFAULT_ROUTING_KEY = OPERATIONS_QUEUE
CELERY_TASK_CREATE_MISSING_QUEUES = False
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_ACKS_ON_FAILURE = True
CELERY_TASK_ACKS_ON_TIMEOUT = True
CELERY_TASK_TRACK_STARTED = True
CELERY_TASK_SERIALIZER = CELERY_RESULT_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_RESULT_BACKEND = "django-db"
CELERY_RESULT_EXTENDED = True
CELERY_RESULT_BACKEND_ALWAYS_RETRY = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_BROKER_HEARTBEAT = 10
CELERY_BROKER_CONNECTION_TIMEOUT = 2
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CHANNEL_ERROR_RETRY = True
CELERY_BROKER_POOL_LIMIT = 2
CELERY_CONTROL_QUEUE_EXCLUSIVE = CELERY_EVENT_QUEUE_EXCLUSIVE = True
# Publishers': without them a frozen broker holds a publish for ever. A worker's consumer reads without a limit.
CELERY_BROKER_TRANSPORT_OPTIONS = (
    {}
    if env.EMBEDDED
    else {
        **{"confirm_publish": True, "connect_timeout": 3, "read_timeout": 3, "write_timeout": 3},
        # Every node of a cluster once, at least.
        **{"max_retries": max(1, len(_BROKERS) - 1), "interval_start": 0, "interval_step": 0.1, "interval_max": 0.5},
    }
)
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE_FILENAME = str(DATA_DIR / "beat-schedule")
CELERY_BEAT_SCHEDULE = {
    "purge-ledger": {"task": "predictions.purge_ledger", "schedule": crontab(minute="17")},
    "keep-exports": {"task": "monitoring.keep_exports", "schedule": crontab(minute="*/5")},
    "finish-erasures": {"task": "monitoring.finish_erasures", "schedule": crontab(minute="*/5")},
    "protect-answers": {"task": "predictions.protect_answers", "schedule": crontab(minute="*/10")},
    "purge-records-of-models": {
        "task": "predictions.purge_records_of_models",
        "schedule": crontab(minute="13", hour="3"),
    },
    "purge-records": {"task": "monitoring.purge_records", "schedule": crontab(minute="43", hour="2")},
    "purge-logs": {"task": "monitoring.purge_logs", "schedule": crontab(minute="53", hour="2")},
}

# API -------------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "models_registry.api.authentication.KeyAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["models_registry.api.permissions.HasScope"],
    "DEFAULT_RENDERER_CLASSES": [
        "rest_framework.renderers.JSONRenderer",
        "rest_framework.renderers.BrowsableAPIRenderer",
    ],
    "DEFAULT_PARSER_CLASSES": ["serving_site.parsers.StrictJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "serving_site.api.exception_handler",
    "STRICT_JSON": True,
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Serving Blueprint",
    "DESCRIPTION": "Serve machine-learning models: answers now, answers later, records of every answer.",
    "VERSION": "0.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "OAS_VERSION": "3.1.0",
    "ENUM_NAME_OVERRIDES": {
        "VersionStatus": "models_registry.models.version.ModelVersion.Status",
        "RecordStatus": ["succeeded", "failed", "canceled", "aborted"],
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "serving_site.openapi.document_errors",
    ],
}

# Limits of the product, in one place; README's table says what each does -----------------------------------
SERVING = {
    name: getattr(env, name)
    for name in [
        "BLOCKING_THREADS",
        "ONLINE_BODY_LIMIT",
        "QUEUED_BODY_LIMIT",
        "UPLOAD_LIMIT",
        "ROW_LIMIT",
        "OUTPUT_LIMIT",
        "REQUEST_LIMIT_S",
        "PREDICTION_DEADLINE_S",
        "MAX_ATTEMPTS",
        "LEASE_S",
        "KEEPER_INTERVAL_S",
        "RESULT_TTL",
        "MODEL_MEMORY_LIMIT",
        "RESPONSE_CACHE_LIMIT",
        "LEDGER_RETENTION_S",
        "RECORD_RETENTION_S",
        "EXPORT_LIMIT",
        "EXPORT_TTL_S",
        "SPOOL_LIMIT",
        "LOG_SPOOL_LIMIT",
        "LOG_RETENTION_S",
        "FOLLOW_LOGS",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "ANSWER_WITHOUT_RECORD",
        "DRAIN_S",
        "CHILD_MEMORY_LIMIT",
        "PUBLISH_LIMIT_S",
        "METRICS_NETWORKS",
    ]
}
ARTIFACT_URL = env.ARTIFACT_URL or str(DATA_DIR / "artifacts")
#: Local copies of what lies in an object store.
ARTIFACT_CACHE_DIR, ARTIFACT_CACHE_LIMIT = DATA_DIR / "artifact-cache", env.ARTIFACT_CACHE_LIMIT
ARTIFACT_ACCESS_KEY, ARTIFACT_SECRET_KEY = env.ARTIFACT_ACCESS_KEY, env.ARTIFACT_SECRET_KEY
ARTIFACT_CA_FILE = env.ARTIFACT_CA_FILE
SPOOL_DIR = DATA_DIR / "spool"
EXPORTS_DIR = Path(env.EXPORTS_DIR or DATA_DIR / "exports")
LOG_SPOOL_DIR = DATA_DIR / "log-spool"
#: What opens the record store, by name.
RECORD_STORE = "monitoring.stores.database.DatabaseStore"
#: What erases a subject everywhere, and finishes what was held up, by name.
ERASE = "serving_site.erasure.erase"
FINISH_ERASURES = "serving_site.erasure.finish_all"
#: What opens the log store, by name.
LOG_STORE = "monitoring.logs.stores.database.DatabaseLogs"
if env.ELASTICSEARCH_URL:
    RECORD_STORE = "monitoring.stores.cluster.store"
    LOG_STORE = "monitoring.logs.stores.elastic.store"
    ELASTICSEARCH = {
        "cluster": addresses.cluster(env.ELASTICSEARCH_URL),
        "ca_file": env.ELASTICSEARCH_CA_FILE,
        "api_key": env.ELASTICSEARCH_API_KEY,
    }
    RECORD_INDEX = {
        "environment": env.INDEX_ENVIRONMENT,
        "shards": env.INDEX_SHARDS,
        "replicas": env.INDEX_REPLICAS,
        "refresh_s": env.INDEX_REFRESH_S,
    }
DATA_UPLOAD_MAX_MEMORY_SIZE = env.ONLINE_BODY_LIMIT
DATA_UPLOAD_MAX_NUMBER_FIELDS = 200
DATA_UPLOAD_MAX_NUMBER_FILES = 4

# Pages -----------------------------------------------------------------------------------------------------
STATIC_URL = "/static/"
STATIC_ROOT = Path(env.STATIC_ROOT or DATA_DIR / "static")
STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # whitenoise warns when it is missing
WHITENOISE_USE_FINDERS = not env.STATIC_ROOT
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
FORMAT_MODULE_PATH = ["serving_site.formats"]
USE_TZ = True
LOGIN_URL = "/admin/login/"
LOGIN_REDIRECT_URL = "/admin/"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = env.TLS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if env.TLS else None
SECURE_REDIRECT_EXEMPT = ["^health/", "^metrics"]  # asked from beside the server, not through the proxy
SECURE_HSTS_SECONDS = 365 * 86_400 if env.TLS else 0
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]  # other names of the domain are not ours to bind
UNFOLD = navigation.UNFOLD

PROMETHEUS_METRIC_NAMESPACE = "serving"
PROMETHEUS_EXPORT_MIGRATIONS = False
PROMETHEUS_LATENCY_BUCKETS = (*SECONDS, float("inf"))
#: Who asks in a request: monitoring knows no other room, so it is told by name.
PRINCIPAL_OF = "models_registry.snapshot.principal_of"
#: What there is to watch: projects, models and versions that its pages offer.
WATCHED = "models_registry.watched.names"
LOGGING_CONFIG = "monitoring.logs.configure"
LOGGING = {"level": env.LOG_LEVEL, "rate": env.LOG_RATE, "secrets": hidden.secrets(env, SECRET_KEY)}
