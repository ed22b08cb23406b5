"""What the URLs of PostgreSQL, RabbitMQ and Elasticsearch say: several hosts, credentials, TLS. Nothing connects here.

    postgres://user:password@host:5432,host:5432/name?sslmode=verify-full&sslrootcert=…&target_session_attrs=read-write
    amqp://user:password@host:5672/vhost;amqp://…        (amqps:// speaks TLS)
    https://user:password@host:9200,https://…

A mistake raises `ValueError` with a sentence that never shows a password.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

#: What a database URL may ask of libpq besides hosts, name and credentials.
LIBPQ = frozenset(
    {"sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "target_session_attrs", "load_balance_hosts", "service"}
    | {"channel_binding", "gssencmode", "hostaddr", "passfile", "require_auth"}
)


@dataclass(frozen=True, slots=True)
class Database:
    """Where PostgreSQL is: `hosts` and `ports` are comma-separated lists of one length, as libpq takes them."""

    hosts: str
    ports: str
    name: str
    user: str = ""
    password: str = field(default="", repr=False)
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where Elasticsearch is: the nodes' addresses without credentials, and who asks."""

    hosts: tuple[str, ...]
    user: str = ""
    password: str = field(default="", repr=False)


def database(url: str) -> Database:
    """Read a PostgreSQL URL."""
    parts = urlsplit(url)
    if parts.scheme not in ("postgres", "postgresql"):
        raise ValueError("it begins with postgres://")
    who, _, where = parts.netloc.rpartition("@")
    hosts = [_host(text, "5432") for text in where.split(",")]
    name = unquote(parts.path.strip("/"))
    if not name or "/" in name:
        raise ValueError("the path names the database: postgres://host/name")
    asked = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
    if unknown := set(asked) - LIBPQ:
        raise ValueError(f"it takes no parameter {', '.join(sorted(unknown))}")
    user, password = _credentials(who)
    return Database(
        ",".join(host for host, _ in hosts), ",".join(port for _, port in hosts), name, user, password, asked
    )


def brokers(text: str, *, separator: str = ";") -> tuple[str, ...]:
    """The URLs of the nodes; a connection tries one after the other. TLS holds for all of them or for none."""
    urls = tuple(part.strip() for part in text.split(separator) if part.strip())
    if not urls:
        raise ValueError("it names no node")
    schemes = {urlsplit(url).scheme for url in urls}
    if not schemes <= {"amqp", "amqps"}:
        raise ValueError("it begins with amqp:// or amqps://")
    if len(schemes) > 1:
        raise ValueError("either every node speaks TLS (amqps://) or none does")
    for url in urls:
        _host(urlsplit(url).netloc.rpartition("@")[2], "5672")
    return urls


def broker_tls(urls: tuple[str, ...], ca_file: str) -> dict[str, Any] | None:
    """What `broker_use_ssl` takes; None where no TLS is spoken."""
    if urlsplit(urls[0]).scheme != "amqps":
        return None
    import ssl

    verified: dict[str, Any] = {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": urlsplit(urls[0]).hostname}
    return {**verified, "ca_certs": ca_file} if ca_file else verified


def cluster(text: str) -> Cluster:
    """Read a list of Elasticsearch URLs, separated by commas; the credentials of the first are those of all."""
    hosts: list[str] = []
    user = password = ""
    for url in (part.strip() for part in text.split(",")):
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https"):
            raise ValueError("each address begins with http:// or https://")
        who, _, where = parts.netloc.rpartition("@")
        if not hosts or who:
            user, password = _credentials(who)
        host, port = _host(where, "443" if parts.scheme == "https" else "9200")
        shown = f"[{host}]" if ":" in host else host
        hosts.append(f"{parts.scheme}://{shown}:{port}{parts.path.rstrip('/')}")
    return Cluster(tuple(hosts), user, password)


def _credentials(who: str) -> tuple[str, str]:
    user, _, password = who.partition(":")
    return unquote(user), unquote(password)


def _host(text: str, port: str) -> tuple[str, str]:
    name, colon, number = text.rpartition(":")
    if not colon or text.endswith("]"):
        name, number = text, port
    name = name.strip("[]")
    if not name or not number.isdecimal() or not 0 < int(number) < 2**16:
        raise ValueError("a host is written name:port")
    return unquote(name), number
