"""The images of a run: ours, built from docker/Dockerfile, and stand-ins for those that docker/compose.yml names.

    build()        # nothing is fetched but Debian's and Python's packages

A stand-in carries the tag of what it stands for, under `localhost/`; Grafana alone has none.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from serving_site.stack import elasticsearch
from tests.running import ROOT

HERE = Path(__file__).resolve().parent
OURS = "localhost/serving-blueprint:latest"
BASE = os.environ.get("DEPLOY_BASE", "localhost/base:bookworm")
ENGINES = "localhost/stand-ins:latest"
#: Format `docker` keeps HEALTHCHECK, which the other leaves out; chroot needs no container to build in a container.
ENVIRONMENT = {**os.environ, "BUILDAH_ISOLATION": "chroot"}
CERTIFICATES = "/etc/ssl/certs:/etc/ssl/certs:ro"
LIMIT_S = 1800


@dataclass(frozen=True, slots=True)
class StandIn:
    """How an image is started: entry point, default command, account, working folder, environment; whose folders."""

    entry: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    user: str = "root"
    folder: str = "/"
    environment: Mapping[str, str] = field(default_factory=dict)
    owned: tuple[str, ...] = ()
    owner: str = ""


_REDIS = StandIn(("redis-entry",), ("redis-server",), folder="/data", owned=("/data",))
#: Image name without its tag → what stands in for it.
STAND_INS = {
    "postgres": StandIn(
        ("postgres-entry",),
        ("postgres",),
        environment={
            "PATH": "/usr/lib/postgresql/15/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "LANG": "C.UTF-8",
            "PGDATA": "/var/lib/postgresql/data",
        },
        owned=("/var/lib/postgresql/data",),
        owner="postgres",
    ),
    "rabbitmq": StandIn(
        ("rabbitmq-entry",),
        ("rabbitmq-server",),
        environment={
            "PATH": "/usr/lib/rabbitmq/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": "/var/lib/rabbitmq",
            "RABBITMQ_CONF_ENV_FILE": "/none",
        },
    ),
    "redis": _REDIS,
    "elasticsearch": StandIn(
        ("elasticsearch-entry",),
        user="elasticsearch",
        folder="/usr/share/elasticsearch",
        owned=("/usr/share/elasticsearch/data",),
    ),
    "caddy": StandIn(environment={"XDG_CONFIG_HOME": "/config", "XDG_DATA_HOME": "/data"}),
    "haproxy": StandIn((), ("haproxy", "-f", "/usr/local/etc/haproxy/haproxy.cfg"), user="haproxy"),
    "prom/prometheus": StandIn(("prometheus",), user="nobody", folder="/prometheus", owned=("/prometheus",)),
    "prom/alertmanager": StandIn(
        ("prometheus-alertmanager",), user="nobody", folder="/alertmanager", owned=("/alertmanager",)
    ),
    "prom/node-exporter": StandIn(("prometheus-node-exporter",), user="nobody"),
    "oliver006/redis_exporter": StandIn(("/redis_exporter",), user="nobody"),
    "prometheuscommunity/postgres-exporter": StandIn(("prometheus-postgres-exporter",), user="nobody"),
    "prometheuscommunity/elasticsearch-exporter": StandIn(("prometheus-elasticsearch-exporter",), user="nobody"),
}


def build() -> None:
    """Build ours, then a stand-in that is not there yet for every image that a compose file names.

    Raises AssertionError with what was said where a build fails.
    """
    ensure_base()
    _bud("-v", CERTIFICATES, "-f", ROOT / "docker" / "Dockerfile", "--build-arg", f"BASE={BASE}", "-t", OURS, ROOT)
    if not exists(ENGINES):
        _build_engines()
    for name in sorted(named()):
        how = STAND_INS.get(name.rpartition(":")[0])
        if how is not None and not exists(f"localhost/{name}"):
            _build_stand_in(name, how)


def named() -> set[str]:
    """Images with their tags, as docker/compose*.yml name them."""
    files = (ROOT / "docker").glob("compose*.yml")
    return {found for file in files for found in re.findall(r"^ +image: (\S+)$", file.read_text(), re.MULTILINE)}


def ensure_base() -> None:
    """Debian 12 with Python and nothing else, made by debootstrap where it is not there."""
    if exists(BASE):
        return
    with tempfile.TemporaryDirectory() as folder:
        include = "--include=python3,python3-venv,ca-certificates"
        subprocess.run(  # the archive that debootstrap knows
            ["debootstrap", "--variant=minbase", include, "bookworm", folder], check=True, timeout=LIMIT_S
        )
        tree = subprocess.Popen(["tar", "-C", folder, "-c", "."], stdout=subprocess.PIPE)
        subprocess.run(["podman", "import", "-", BASE], stdin=tree.stdout, check=True, timeout=LIMIT_S)


def exists(image: str) -> bool:
    return subprocess.run(["podman", "image", "exists", image], check=False, timeout=60).returncode == 0


def _build_engines() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(HERE / "entry", folder / "entry")
        archive = elasticsearch._archive(ROOT / "var" / "downloads")
        elasticsearch._unpack(archive, folder)
        (folder / f"elasticsearch-{elasticsearch.VERSION}").rename(folder / "elasticsearch")
        _bud("-f", HERE / "Containerfile", "--build-arg", f"BASE={BASE}", "-t", ENGINES, folder)


def _build_stand_in(name: str, how: StandIn) -> None:
    lines = [f"FROM {ENGINES}"]
    if how.entry and how.entry[0].endswith("-entry"):
        lines.append(f"RUN ln -s {how.entry[0]} /usr/local/bin/docker-entrypoint.sh")
    owner = how.owner or how.user
    if how.owned:
        lines.append(f"RUN install -d -o {owner} -g {_group(owner)} {' '.join(how.owned)}")
    lines += [f'ENV {variable}="{value}"' for variable, value in how.environment.items()]
    lines += [
        f"WORKDIR {how.folder}",
        f"USER {how.user}",
        f"ENTRYPOINT {_words(how.entry)}",
        f"CMD {_words(how.command)}",
    ]
    with tempfile.TemporaryDirectory() as folder:
        if name.startswith("caddy:") and (program := _caddy(name)) is not None:
            shutil.copy(program, Path(folder) / "caddy")
            lines.append("COPY caddy /usr/local/bin/caddy")
        (Path(folder) / "Containerfile").write_text("\n".join(lines) + "\n")
        _bud("-f", Path(folder) / "Containerfile", "-t", f"localhost/{name}", folder)


def _caddy(image: str) -> Path | None:
    """The version that `image` names, made by Go once, in a few minutes; without Go, Debian's older one stands in.

    That one never sends a call with a body to the next web when one does not take the connection.
    """
    version = image.partition(":")[2].partition("-")[0]
    made, go = ROOT / "var" / "downloads" / f"caddy-{version}", shutil.which("go")
    if not made.exists() and go is not None:
        made.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            environment = {**os.environ, "GOBIN": folder, "CGO_ENABLED": "0"}
            package = f"github.com/caddyserver/caddy/v2/cmd/caddy@v{version}"
            done = subprocess.run([go, "install", package], env=environment, check=False, timeout=LIMIT_S)
            if done.returncode == 0:
                shutil.move(Path(folder) / "caddy", made)
    return made if made.exists() else None


def _group(user: str) -> str:
    return "nogroup" if user == "nobody" else user


def _words(words: tuple[str, ...]) -> str:
    return "[" + ", ".join(f'"{word}"' for word in words) + "]"


def _bud(*arguments: str | Path) -> None:
    command = ["buildah", "bud", "--format", "docker", "--layers", *map(str, arguments)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
