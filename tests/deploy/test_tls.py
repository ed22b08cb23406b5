"""The proxy with a host name, as .env.example shows it: HTTPS, its limits, and HTTP that is only a redirect.

Web is the image in the embedded mode, with the variables that compose.yml gives it but for the engines' URLs.
"""

from __future__ import annotations

import http.client
import json
import secrets
import socket
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from serving_site.stack.server import free_port
from tests.deploy import compose
from tests.deploy.compose import Project
from tests.deploy.deployed import COMPOSE, TLS
from tests.deploy.running import Up, running
from tests.waiting import eventually

#: Names below `.localhost` are nobody's on the Internet: Caddy signs for them itself.
SITE = "models.localhost"
ENGINES = ("DATABASE_URL_FILE", "RABBITMQ_URL_FILE", "REDIS_URL_FILE", "REDIS_RESULTS_URL_FILE", "ELASTICSEARCH_URL")
#: Of the header; three times what the Caddyfile says.
TIMEOUT_LIMIT_S = 30.0


@dataclass(frozen=True)
class Site:
    """The proxy's two ports, and what a client trusts."""

    up: Up
    port: int
    plain_port: int
    trusted: ssl.SSLContext

    def connect(self) -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", self.port), TIMEOUT_LIMIT_S)
        return self.trusted.wrap_socket(plain, server_hostname=SITE)

    def request(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPSConnection(SITE, timeout=TIMEOUT_LIMIT_S)
        connection.sock = self.connect()
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()


@contextmanager
def site(name: str, trusted: Path | None = None, **environment: str) -> Iterator[Site]:
    """The proxy in front of web; `trusted` is the certificate expected, by default that of its own authority."""
    port, plain_port = free_port(), free_port()
    variables = {
        **{"SITE": SITE, "SITE_NAME": SITE, "SITE_ORIGIN": f"https://{SITE}", "TLS": "true", "PROXY_PORT": "443"},
        **{"PORT": str(port), "HTTP_PORT": str(plain_port), "SERVER_PROCESSES": "1", **environment},
    }
    project = embedded(compose.renamed(compose.read([COMPOSE, TLS], variables), name))
    with running(project, only=frozenset({"web", "proxy"})) as up:
        up.await_healthy("proxy")
        authority = trusted or up.volume("proxy-data") / "caddy/pki/authorities/local/root.crt"
        eventually(authority.exists)
        found = Site(up, port, plain_port, ssl.create_default_context(cafile=str(authority)))
        eventually(lambda: answers(found))
        yield found


def answers(where: Site) -> bool:
    """Does it answer yet? A certificate is signed a moment after the start."""
    try:
        return where.request("GET", "/health/ready")[0] == 200
    except ssl.SSLCertVerificationError:
        raise
    except OSError:
        return False


def embedded(project: Project) -> Project:
    """The same with a web that needs no engine."""
    web = project.services["web"]
    environment = {name: value for name, value in web.facts["environment"].items() if name not in ENGINES}
    own = {**environment, "ARTIFACT_URL": "", "SECRET_KEY": secrets.token_urlsafe(50)}
    del own["SECRET_KEY_FILE"]
    facts = {**web.facts, "environment": own, "depends_on": {}}
    return replace(project, services={**project.services, "web": replace(web, facts=facts)})


@pytest.fixture(scope="module")
def served(built: None) -> Iterator[Site]:
    with site("serving-tls") as found:
        yield found


def test_a_client_that_trusts_the_authority_is_served_and_told_to_stay_with_https(served: Site) -> None:
    status, headers, _ = served.request("GET", "/admin/login/")
    assert status == 200
    assert "max-age=31536000" in headers["strict-transport-security"]
    assert "secure" in headers["set-cookie"].lower()
    assert "server" not in headers


def test_both_paths_answer_behind_it(served: Site) -> None:
    body = json.dumps({"inputs": []}).encode()
    sent = {"Content-Type": "application/json"}
    assert served.request("POST", "/v2/models/iris/infer", body, sent)[0] == 401
    assert served.request("POST", "/v1/predictions", body, sent)[0] == 401
    assert served.request("GET", "/v2")[0] == 200


def test_a_client_that_trusts_others_only_is_not_served(served: Site) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        replace(served, trusted=ssl.create_default_context()).request("GET", "/health/ready")


def test_the_settings_of_the_composition_pass_the_check_of_a_deployment(served: Site) -> None:
    words = ("python", "-m", "serving_site.roles", "manage", "check", "--deploy", "--fail-level", "WARNING")
    assert "no issues" in served.up.execute("web", *words)


def test_plain_http_is_only_sent_on_to_https(served: Site) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", served.plain_port, timeout=20)
    connection.request("GET", "/v2/models/iris?x=1", headers={"Host": SITE})
    answer = connection.getresponse()
    assert answer.status in (301, 308)
    assert answer.getheader("location") == f"https://{SITE}/v2/models/iris?x=1"
    connection.close()


def test_a_body_over_the_limit_is_refused(served: Site) -> None:
    try:
        status = served.request("POST", "/v2/models/iris/infer", b" " * (18 * 2**20))[0]
    except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
        status = 413  # answered and closed before all of it was sent
    assert status == 413


def test_a_client_that_never_ends_its_header_is_let_go(served: Site) -> None:
    with served.connect() as connection:
        connection.sendall(f"GET /v2 HTTP/1.1\r\nHost: {SITE}\r\nX-Slow: ".encode())
        said = connection.recv(1024)
    assert said == b"" or said.startswith(b"HTTP/1.1 408")


def test_what_only_those_inside_may_see_stays_inside(served: Site) -> None:
    assert served.request("GET", "/metrics")[0] == 404


def test_a_certificate_of_the_operators_own_is_shown(built: None, tmp_path: Path) -> None:
    make_certificate(tmp_path)
    line = "tls /certificates/site.pem /certificates/site.key"
    with site("serving-tls-own", tmp_path / "site.pem", CERTIFICATES=str(tmp_path), SITE_TLS=line) as found:
        assert found.request("GET", "/v2")[0] == 200
        with found.connect() as connection:
            shown = connection.getpeercert(binary_form=True)
        assert shown == ssl.PEM_cert_to_DER_cert((tmp_path / "site.pem").read_text())


def make_certificate(folder: Path) -> None:
    """`site.pem` and `site.key` of SITE, signed by itself, for a day."""
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "1",
    ]
    command += [
        "-subj",
        f"/CN={SITE}",
        "-addext",
        f"subjectAltName=DNS:{SITE}",
        "-keyout",
        "site.key",
        "-out",
        "site.pem",
    ]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=60)
    (folder / "site.key").chmod(0o644)  # the container's root has no power over files of others
