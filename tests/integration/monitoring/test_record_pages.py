"""Records in the admin: found by id, model, value and error text, shown readably, changed by nobody."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from monitoring.records import Value

LIST = "admin:monitoring_recordrow_changelist"


@pytest.fixture
def person(watched):
    return watched.person()


def listed(client, **parameters) -> str:
    answer = client.get(reverse(LIST), parameters)
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.mark.parametrize("search", ["{id}", "wine", "ours/wine", "petal", "input.age:30..40 wine", "output.label:red"])
def test_a_record_is_found(watched, person, search):
    values = (Value("input", "age", number=35.0), Value("output", "label", text="red"))
    wanted = watched.keep(model="wine", error="bad Petal", status="failed", values=values)
    other = watched.keep()
    page = listed(person, q=search.format(id=wanted.id))
    assert str(wanted.id) in page
    assert str(other.id) not in page


def test_a_filter_shows_only_what_meets_it(watched, person):
    failed, fine = watched.keep(status="failed"), watched.keep()
    page = listed(person, status__exact="failed")
    assert str(failed.id) in page
    assert str(fine.id) not in page


def test_a_page_of_one_record_shows_what_was_asked_and_answered(watched, person):
    record = watched.keep(inputs={"word": ["<script>alert(1)</script>", "b"]}, outputs={"label": ["setosa"]})
    page = person.get(reverse("admin:monitoring_recordrow_change", args=[record.id])).content.decode()
    assert "setosa" in page
    assert "sepal_length" in page
    assert "alias champion" in page
    assert "<script>alert(1)" not in page


def test_nobody_changes_a_record(watched, person):
    record = watched.keep()
    change = reverse("admin:monitoring_recordrow_change", args=[record.id])
    assert person.post(change, {"model": "x"}).status_code == 403
    assert person.post(reverse("admin:monitoring_recordrow_delete", args=[record.id])).status_code == 403
    assert person.get(reverse("admin:monitoring_recordrow_add")).status_code == 403


def test_no_page_counts_the_table_or_reads_documents_it_does_not_show(watched, person):
    watched.keep()
    with CaptureQueriesContext(connection) as queries:
        listed(person, q="iris", status__exact="succeeded")
    about_records = [query["sql"] for query in queries if "monitoring_recordrow" in query["sql"]]
    assert about_records
    assert not any("COUNT(" in sql or '"document"' in sql for sql in about_records)
