"""The unmodified `replicate` client against a real server."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import replicate
from replicate.exceptions import ModelError, ReplicateError

from tests.running import Server

FLOWER = {"instances": [[5.1, 3.5, 1.4, 0.2]]}


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[replicate.Client]:
    made = replicate.Client(api_token=server.key, base_url=server.url, timeout=35.0)
    made.poll_interval = 0.05
    yield made
    made._client.close()


@pytest.fixture(scope="module")
def version_id(client: replicate.Client) -> str:
    return client.models.get("demo/iris").latest_version.id


def test_it_creates_and_waits(client, version_id):
    prediction = client.predictions.create(version=version_id, input=FLOWER)
    assert prediction.status == "starting"
    prediction.wait()
    assert prediction.status == "succeeded"
    assert len(prediction.output["label"]) == len(prediction.output["probabilities"]) == 1
    assert prediction.model == "demo/iris"
    assert prediction.metrics["total_time"] >= prediction.metrics["predict_time"] >= 0


def test_it_creates_and_blocks(client, version_id):
    assert client.predictions.create(version=version_id, input=FLOWER, wait=5).status == "succeeded"


def test_it_gets_what_it_created(client, version_id):
    made = client.predictions.create(version=version_id, input=FLOWER, wait=True)
    found = client.predictions.get(made.id)
    assert (found.id, found.output, found.input) == (made.id, made.output, FLOWER)


def test_it_lists_page_by_page(client, version_id):
    made = [client.predictions.create(version=version_id, input=FLOWER).id for _ in range(3)]
    assert [one.id for one in client.predictions.list()][:3] == made[::-1]


def test_it_cancels(client, version_id):
    made = client.predictions.create(version=version_id, input=FLOWER)
    canceled = client.predictions.cancel(made.id)
    assert canceled.id == made.id
    assert canceled.status in ("canceled", "succeeded")  # it may have been faster
    made.reload()
    assert made.status == canceled.status


def test_run_takes_a_model(client):
    assert set(client.run("demo/iris", input=FLOWER)) == {"label", "probabilities"}


def test_run_takes_a_version(client, version_id):
    assert set(client.run(f"demo/iris:{version_id}", input=FLOWER)) == {"label", "probabilities"}


def test_run_polls_when_it_does_not_block(client, version_id):
    assert set(client.run(f"demo/iris:{version_id}", input=FLOWER, wait=False)) == {"label", "probabilities"}


def test_a_refused_input_names_its_column(client):
    with pytest.raises((ReplicateError, ModelError)) as refused:
        client.run("demo/iris", input={"instances": [[1, 2, 3]]})
    assert refused.value.status == 422


def test_webhooks_and_streams_are_refused(client, version_id):
    for wish in ({"webhook": "https://example.org"}, {"stream": True}):
        with pytest.raises(ReplicateError) as refused:
            client.predictions.create(version=version_id, input=FLOWER, **wish)
        assert refused.value.status == 422


def test_an_unknown_version_is_not_found(client):
    with pytest.raises(ReplicateError) as refused:
        client.predictions.create(version="01890000-0000-7000-8000-000000000000", input=FLOWER)
    assert refused.value.status == 404


def test_its_versions_are_listed(client, version_id):
    assert version_id in [one.id for one in client.models.get("demo", "iris").versions.list()]


def test_a_waiting_request_is_answered_in_milliseconds_when_idle(server):
    """Printed for the record; the bound is loose, because the machine is shared."""
    times = []
    for _ in range(40):
        began = time.perf_counter()
        status, shown = server.post("/v1/predictions", {"model": "iris", "input": FLOWER}, Prefer="wait=5")
        times.append(time.perf_counter() - began)
        assert (status, shown["status"]) == (201, "succeeded")
    middle = sorted(times)[len(times) // 2]
    print(f"round trip p50 {middle * 1000:.1f} ms")
    assert middle < 0.1


def test_the_record_is_found_within_two_seconds_of_the_answer(server):
    _, shown = server.post("/v1/predictions", {"model": "iris", "input": FLOWER}, Prefer="wait=5")
    end = time.monotonic() + 2
    status = 0
    while status != 200 and time.monotonic() < end:
        status, record = server.get(f"/api/records/{shown['id']}")
        time.sleep(0.05)
    assert status == 200
    assert record["door"] == "queued"
