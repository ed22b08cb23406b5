"""docker/compose.yml as it runs: the main job through the proxy, every role, and what protects them."""

from __future__ import annotations

import http.cookiejar
import json
import re
import time
import urllib.parse
import urllib.request

import pytest

from tests import cast
from tests.deploy import images
from tests.deploy.deployed import Deployed
from tests.deploy.running import podman
from tests.waiting import eventually

IRIS = {"model": "iris", "input": {"instances": [[6.7, 3.0, 5.2, 2.3]]}}
FLOWER = {"inputs": [{"name": "input", "shape": [1, 4], "datatype": "FP64", "data": [5.1, 3.5, 1.4, 0.2]}]}
WORKERS = tuple(f"worker-{priority}" for priority in ("interactive", "standard", "bulk", "operations"))
OURS = ("web", *WORKERS, "keeper", "beat")
IMAGE_LIMIT_MB = 800


def test_a_model_is_published_answers_at_both_doors_and_every_answer_is_recorded(server: Deployed) -> None:
    status, version = server.upload("sum", cast.adder(7).model, alias="champion")
    assert status in (201, 202), version
    # Each of the web processes hears of it by itself, and nobody knows which one is asked.
    eventually(lambda: all(server.get("/v2/models/sum/ready")[0] == 200 for _ in range(10)), limit=90)
    tensor = {"inputs": [{"name": "input", "shape": [1, 2], "datatype": "FP64", "data": [1.0, 2.0]}]}
    sent = {"Authorization": f"Bearer {server.key}", "Content-Type": "application/json"}
    status, headers, body = server.request("POST", "/v2/models/sum/infer", json.dumps(tensor).encode(), sent)
    assert status == 200, body
    status, queued = server.post(
        "/v1/predictions", {"model": "sum", "input": {"instances": [[1.0, 2.0]]}}, Prefer="wait"
    )
    assert (status, queued["status"]) == (201, "succeeded")
    for identifier in (headers["x-prediction-id"], queued["id"]):
        assert eventually(lambda name=identifier: server.get(f"/api/records/{name}")[0] == 200)


def test_the_demo_models_answer(server: Deployed) -> None:
    assert server.post("/v2/models/iris/infer", FLOWER)[0] == 200
    assert server.post("/v1/predictions", IRIS, Prefer="wait")[1]["output"]["label"] == ["virginica"]


def test_without_a_key_nobody_acts(server: Deployed) -> None:
    body = json.dumps(FLOWER).encode()
    assert server.request("POST", "/v2/models/iris/infer", body, {"Content-Type": "application/json"})[0] == 401


def test_the_administrator_made_at_the_first_start_logs_in(server: Deployed) -> None:
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
    form = opener.open(f"{server.url}/admin/login/", timeout=20).read().decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form)
    assert token is not None
    fields = {"csrfmiddlewaretoken": token[1], "username": "admin", "password": server.secret("admin_password")}
    login = urllib.request.Request(
        f"{server.url}/admin/login/?next=/admin/",
        urllib.parse.urlencode(fields).encode(),
        {"Origin": server.url, "Referer": server.url},
    )
    page = opener.open(login, timeout=20)
    assert page.url == f"{server.url}/admin/"
    assert "Log out" in page.read().decode()
    style = opener.open(f"{server.url}/static/admin/css/base.css", timeout=20)
    assert style.status == 200, "static files are in the image"


def test_the_proxy_keeps_metrics_inside_and_bodies_small(server: Deployed) -> None:
    assert server.request("GET", "/metrics")[0] == 404
    sent = {"Authorization": f"Bearer {server.key}", "Content-Type": "application/json"}
    try:
        status = server.request("POST", "/v2/models/iris/infer", b" " * (18 * 2**20), sent)[0]
    except (BrokenPipeError, ConnectionResetError):
        status = 413  # answered and closed before all of it was sent
    assert status == 413


def test_the_doctor_finds_nothing_bad(server: Deployed) -> None:
    findings = json.loads(server.manage("doctor", "--json", tolerant=True))["findings"]
    assert len(findings) > 5
    assert [found for found in findings if found["grade"] == "bad"] == []


def test_prometheus_reaches_every_target(server: Deployed) -> None:
    def all_up() -> bool:
        said = server.up.execute("prometheus", "wget", "-q", "-O", "-", "http://127.0.0.1:9090/api/v1/targets")
        targets = json.loads(said)["data"]["activeTargets"]
        jobs = {target["labels"]["job"] for target in targets if target["health"] == "up"}
        return {"web", "worker", "keeper", "rabbitmq", "redis", "postgres", "elasticsearch", "node"} <= jobs

    eventually(all_up, limit=90)


@pytest.mark.parametrize("name", OURS)
def test_a_role_runs_as_nobody_without_powers_on_a_root_that_nobody_writes(server: Deployed, name: str) -> None:
    state = server.up.state(name)
    assert (state["Status"], server.up.inspect(name)["RestartCount"]) == ("running", 0)
    server.up.await_healthy(name)
    status = server.up.execute(name, "cat", "/proc/1/status")
    assert re.search(r"^Uid:\s+10001\s+10001", status, re.MULTILINE)
    assert re.search(r"^CapEff:\s+0+$", status, re.MULTILINE)
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)
    for place in ("/app", "/opt/venv", "/etc", "/"):
        said = server.up.execute(name, "touch", f"{place}/written", tolerant=True)
        assert "Read-only file system" in said, (place, said)


@pytest.mark.parametrize("name", OURS)
def test_a_role_is_bounded_in_processors_memory_and_processes(server: Deployed, name: str) -> None:
    host = server.up.inspect(name)["HostConfig"]
    assert host["Memory"] > 0
    assert host["NanoCpus"] > 0
    assert host["PidsLimit"] > 0


def test_web_is_up_within_a_minute_and_soon_after_its_start(server: Deployed) -> None:
    assert server.up.took_s["web"] < 60


def test_the_image_is_small_beside_its_base() -> None:
    sizes = [int(podman("image", "inspect", "--format", "{{.Size}}", name)) for name in (images.OURS, images.BASE)]
    assert (sizes[0] - sizes[1]) / 1e6 <= IMAGE_LIMIT_MB


def test_the_image_says_what_is_in_it_and_carries_no_compiler(server: Deployed) -> None:
    bill = json.loads(server.up.execute("web", "cat", "/opt/bill-of-materials.cdx.json"))
    names = {component["name"].lower() for component in bill["components"]}
    assert bill["bomFormat"] == "CycloneDX"
    assert {"django", "celery", "onnxruntime", "granian"} <= names
    assert "onnxruntime" in server.up.execute("web", "cat", "/opt/sizes.txt")
    code = "import shutil; print([it for it in ('cc', 'gcc', 'make', 'pip', 'uv', 'curl', 'git') if shutil.which(it)])"
    assert server.up.execute("web", "python", "-c", code).strip() == "[]"


def test_a_spool_that_a_gone_web_left_is_recorded_by_whoever_mounts_it(server: Deployed) -> None:
    """What the Job of docker/kubernetes/drain does with the claim of a pod that scaling down removed."""
    sent = {"Authorization": f"Bearer {server.key}", "Content-Type": "application/json"}
    for name in ("keeper", "web"):
        server.up.await_healthy(name)
    podman("stop", server.up.name("keeper"))
    answered = [
        server.request("POST", "/v2/models/iris/infer", json.dumps(FLOWER).encode(), sent)[1]["x-prediction-id"]
        for _ in range(50)
    ]
    podman("kill", server.up.name("web"))
    assert kept(server, answered) < 50
    server.up.run_once("keeper", "manage", "keep", "--until-recorded")
    assert kept(server, answered) == 50
    for name in ("web", "keeper"):
        podman("start", server.up.name(name))
        server.up.await_healthy(name)


def kept(server: Deployed, identifiers: list[str]) -> int:
    """How many of these Elasticsearch itself finds."""
    asked = json.dumps({"query": {"ids": {"values": identifiers}}})
    url = "http://127.0.0.1:9200/serving-predictions-*"
    server.up.execute("elasticsearch", "curl", "-fsS", "-X", "POST", f"{url}/_refresh")
    form = ("-H", "Content-Type: application/json", "-d", asked)
    return int(json.loads(server.up.execute("elasticsearch", "curl", "-fsS", *form, f"{url}/_count"))["count"])


def test_sigterm_drains_and_a_new_container_serves_again(server: Deployed) -> None:
    """Everything that was answered before is recorded after, and the end is a clean one."""
    sent = {"Authorization": f"Bearer {server.key}", "Content-Type": "application/json"}
    name = server.up.name("web")
    podman("stop", server.up.name("keeper"))
    answered = [
        server.request("POST", "/v2/models/iris/infer", json.dumps(FLOWER).encode(), sent)[1]["x-prediction-id"]
        for _ in range(50)
    ]
    begun = time.monotonic()
    podman("stop", name)
    assert time.monotonic() - begun < 35
    assert server.up.state("web")["ExitCode"] == 0
    podman("start", name)
    podman("start", server.up.name("keeper"))
    server.up.await_healthy("web")
    for identifier in answered:
        eventually(lambda name=identifier: server.get(f"/api/records/{name}")[0] == 200, limit=60)
