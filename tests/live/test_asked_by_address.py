"""Prometheus and probes find a process by its address, which is none of the site's names."""

from __future__ import annotations

import pytest

from tests.running import Server

ELSEWHERE = {"Host": "10.89.0.43:8000"}


@pytest.mark.parametrize("path", ["/metrics", "/health/ready", "/health/live"])
def test_what_machines_ask_is_answered_under_an_address(embedded_server: Server, path: str) -> None:
    assert embedded_server.request("GET", path, headers=ELSEWHERE)[0] == 200


@pytest.mark.parametrize("path", ["/admin/login/", "/api/docs", "/v2/models/iris"])
def test_what_people_and_programs_ask_is_not(embedded_server: Server, path: str) -> None:
    assert embedded_server.request("GET", path, headers=ELSEWHERE)[0] == 400
