"""A Redis URL says which form, which hosts and who asks, or is refused without showing a password."""

from __future__ import annotations

import pytest

from serving_site.redis_urls import Address, cache, parse


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("redis://cache", Address("single", (("cache", 6379),))),
        ("redis://cache:6400/3", Address("single", (("cache", 6400),), db=3)),
        ("redis://[::1]:6400/3", Address("single", (("::1", 6400),), db=3)),
        ("redis://[::1]", Address("single", (("::1", 6379),))),
        ("redis://:p%40ss@cache/", Address("single", (("cache", 6379),), password="p@ss")),
        ("rediss://me:pass@cache", Address("single", (("cache", 6379),), username="me", password="pass", tls=True)),
        (
            "redis+sentinel://h1:1,h2/mymaster/2",
            Address("sentinel", (("h1", 1), ("h2", 26379)), db=2, service="mymaster"),
        ),
        (
            "rediss+sentinel://me:pass@h1:1/mymaster?sentinel_password=other",
            Address(
                "sentinel", (("h1", 1),), service="mymaster", username="me", password="pass",
                sentinel_password="other", tls=True,
            ),
        ),
        ("redis+cluster://h1:7000,h2:7001", Address("cluster", (("h1", 7000), ("h2", 7001)))),
        ("redis+cluster://h1:7000/0", Address("cluster", (("h1", 7000),))),
    ],
)  # fmt: skip
def test_a_url_is_read(url: str, wanted: Address) -> None:
    assert parse(url) == wanted


@pytest.mark.parametrize(
    "url",
    [
        "", "cache:6379", "http://cache", "redis+other://cache", "redis://", "redis://:6379", "redis://a:b",
        "redis://cache:0", "redis://cache:70000", "redis://a,b", "redis://cache/one", "redis://cache/1/2",
        "redis://cache?db=1", "redis://cache?ssl_cert_reqs=none", "redis+sentinel://h1", "redis+sentinel://h1/m/x",
        "redis+cluster://h1/1", "redis+cluster://h1,",
    ],
)  # fmt: skip
def test_what_is_no_redis_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(url)


def test_neither_a_refusal_nor_a_picture_shows_a_password() -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse("redis://me:secret@cache:port")
    assert "secret" not in str(caught.value)
    assert "secret" not in repr(parse("redis+sentinel://me:secret@h1/m?sentinel_password=secret"))


def test_a_cache_on_redis_never_pickles() -> None:
    options = cache("redis://cache", prefix="serving", connections=4, ca_file="")["OPTIONS"]
    assert options["SERIALIZER"] == "django_redis.serializers.json.JSONSerializer"
