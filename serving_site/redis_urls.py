"""What a Redis URL says: one server, the primary that sentinels know, or a cluster; with or without TLS.

    redis://[user:password@]host[:port][/db]
    redis+sentinel://[user:password@]host[:port],host[:port]/service[/db][?sentinel_password=…]
    redis+cluster://[user:password@]host[:port],host[:port]

`rediss` in place of `redis` speaks TLS.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

Form = Literal["single", "sentinel", "cluster"]

_FORMS: dict[str, Form] = {"": "single", "sentinel": "sentinel", "cluster": "cluster"}
_PORTS = {"single": 6379, "sentinel": 26379, "cluster": 6379}


@dataclass(frozen=True, slots=True)
class Address:
    """Where Redis is. `hosts` are (name, port): the server, the sentinels, or some nodes of the cluster."""

    form: Form
    hosts: tuple[tuple[str, int], ...]
    db: int = 0
    service: str = ""
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    sentinel_password: str | None = field(default=None, repr=False)
    tls: bool = False


def parse(url: str) -> Address:
    """Read a URL. Raises `ValueError` with a sentence that never shows a password."""
    parts = urlsplit(url)
    scheme, _, kind = parts.scheme.partition("+")
    form = _FORMS.get(kind)
    if scheme not in ("redis", "rediss") or form is None:
        raise ValueError("it begins with redis://, rediss://, redis+sentinel:// or redis+cluster://")
    who, _, where = parts.netloc.rpartition("@")
    username, _, password = who.partition(":")
    hosts = tuple(_host(text, _PORTS[form]) for text in where.split(","))
    if form == "single" and len(hosts) > 1:
        raise ValueError("several hosts are sentinels (redis+sentinel://) or a cluster (redis+cluster://)")
    service, db = _path(parts.path, form)
    return Address(
        form=form,
        hosts=hosts,
        db=db,
        service=service,
        username=unquote(username) or None,
        password=unquote(password) or None,
        sentinel_password=_sentinel_password(parts.query, form),
        tls=scheme == "rediss",
    )


def cache(url: str, *, prefix: str, connections: int, ca_file: str) -> dict[str, Any]:
    """An entry of Django's CACHES for this Redis; `connections` at most for each process."""
    return {
        "BACKEND": "django_prometheus.cache.backends.redis.RedisCache",
        "LOCATION": [url],
        "KEY_PREFIX": prefix,
        "OPTIONS": {
            "CONNECTION_FACTORY": "serving_site.redis_clients.Factory",
            # Never pickle: whoever writes into Redis would run code here.
            "SERIALIZER": "django_redis.serializers.json.JSONSerializer",
            "IGNORE_EXCEPTIONS": True,
            "MAX_CONNECTIONS": connections,
            "CA_FILE": ca_file,
        },
    }


def _host(text: str, port: int) -> tuple[str, int]:
    name, colon, number = text.rpartition(":")
    if not colon or text.endswith("]"):
        name, number = text, str(port)
    name = name.strip("[]")
    if not name or not number.isdecimal() or not 0 < int(number) < 2**16:
        raise ValueError("a host is written name:port")
    return name, int(number)


def _path(path: str, form: Form) -> tuple[str, int]:
    words = [unquote(word) for word in path.split("/") if word]
    service = ""
    if form == "sentinel":
        if not words:
            raise ValueError(
                "the path names the service that the sentinels watch, and may name a database: /mymaster/0"
            )
        service, *words = words
    if form == "cluster" and words not in ([], ["0"]):
        raise ValueError("a cluster has database 0 only")
    if len(words) > 1 or (words and not words[0].isdecimal()):
        raise ValueError("the path ends with the number of a database")
    return service, int(words[0]) if words else 0


def _sentinel_password(query: str, form: Form) -> str | None:
    asked = parse_qs(query, strict_parsing=bool(query))
    known = {"sentinel_password"} if form == "sentinel" else set()
    if set(asked) - known:
        raise ValueError(f"it takes no parameter {', '.join(sorted(set(asked) - known))}")
    return asked["sentinel_password"][0] if "sentinel_password" in asked else None
