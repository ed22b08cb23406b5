"""A private Elasticsearch 8: the distribution on Maven Central, run as an account of its own on Java 17."""

from __future__ import annotations

import os
import shutil
import subprocess
import zipfile
from pathlib import Path

from serving_site.stack.server import Server, ServerMissing, folder_for, free_port, launch, program

VERSION = "8.19.3"
_ARTIFACT = f"org.elasticsearch.distribution.integ-test-zip:elasticsearch:{VERSION}:zip"


#: Java's second compiler takes half of the processor time of a node's first hundred thousands of records, and on one
#: machine everything else waits for that; it pays where a node has millions before it.
_FIRST_COMPILER = "-XX:TieredStopAtLevel=1"

#: Free space below which no replica is placed, no index is begun, and nothing is written. The defaults are parts of the
#: whole disk, 10 % for a new index: with 25 of 252 GB to spare no record would be kept.
WATERMARKS = {"low": "2gb", "high": "1500mb", "flood_stage": "1gb"}


def start(
    root: Path, *, port: int | None = None, heap: str = "512m", optimises: bool = False, downloads: Path | None = None
) -> Server:
    """Start one node in `root/elasticsearch`; `downloads` keeps the archive between runs. One that `optimises` is
    slow for its first minutes and faster afterwards."""
    folder = folder_for(root, "elasticsearch", unprivileged=True)
    port = port or free_port()
    home = folder / f"elasticsearch-{VERSION}"
    if not (home / "bin" / "elasticsearch").exists():
        _unpack(_archive(downloads or root / "downloads"), folder)
    _configure(home, folder, port)
    java = f"-Xms{heap} -Xmx{heap}" if optimises else f"-Xms{heap} -Xmx{heap} {_FIRST_COMPILER}"
    return launch(
        "elasticsearch",
        [home / "bin" / "elasticsearch"],
        folder=folder,
        ready_path="/_cluster/health",
        port=port,
        url=f"http://127.0.0.1:{port}",
        env={
            "ES_JAVA_HOME": _java_home(),
            "ES_JAVA_OPTS": java,
            "CLI_JAVA_OPTS": f"-Djava.io.tmpdir={_temporary(folder)}",
            "HOME": str(folder),
        },
        unprivileged=True,
        timeout=240,
    )


def _archive(downloads: Path) -> Path:
    """The distribution, fetched once with Maven."""
    repository = downloads / "maven"
    pattern = f"org/elasticsearch/distribution/**/elasticsearch-{VERSION}.zip"
    found = next(repository.glob(pattern), None)
    if found is None:
        subprocess.run(  # noqa: S603
            [
                *(program("mvn"), "-q", "-B", "dependency:get", "-Dtransitive=false"),
                *(f"-Dmaven.repo.local={repository.resolve()}", f"-Dartifact={_ARTIFACT}"),
            ],
            check=True,
            timeout=300,
        )
        found = next(repository.glob(pattern), None)
    if found is None:
        raise ServerMissing(f"Maven did not deliver {_ARTIFACT}")
    return found


def _unpack(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        file.extractall(folder)
    home = folder / f"elasticsearch-{VERSION}"
    for script in (home / "bin").iterdir():
        script.chmod(0o755)
    if os.geteuid() == 0:
        account = folder.stat()
        for path in [home, *home.rglob("*")]:
            os.chown(path, account.st_uid, account.st_gid)


def _temporary(folder: Path) -> Path:
    """Empty at each start: what begins a node leaves a folder behind every time."""
    shutil.rmtree(folder / "tmp", ignore_errors=True)
    return folder_for(folder, "tmp", unprivileged=True)


def _configure(home: Path, folder: Path, port: int) -> None:
    """Before the first start: with security left on it would make certificates and refuse plain HTTP."""
    (home / "config" / "elasticsearch.yml").write_text(
        f"""cluster.name: serving
discovery.type: single-node
network.host: 127.0.0.1
http.port: {port}
transport.port: {free_port()}
path.data: {folder / "data"}
path.logs: {folder / "logs"}
node.store.allow_mmap: false
xpack.security.enabled: false
action.destructive_requires_name: true
"""
        + "".join(f"cluster.routing.allocation.disk.watermark.{name}: {free}\n" for name, free in WATERMARKS.items())
    )


def _java_home() -> str:
    """The Java to run on: ES_JAVA_HOME or JAVA_HOME when set, else the one on the path."""
    for name in ("ES_JAVA_HOME", "JAVA_HOME"):
        if os.environ.get(name):
            return os.environ[name]
    java = shutil.which("java")
    if java is None:
        raise ServerMissing("Java 17 is not installed")
    return str(Path(java).resolve().parent.parent)
