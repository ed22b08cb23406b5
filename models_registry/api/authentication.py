"""Who is asking: `Authorization: Bearer <key>`, checked against the snapshot."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from models_registry import errors, snapshot
from models_registry.every_call import CURRENT
from models_registry.principals import Principal

_LOOPBACK = frozenset(["localhost", "127.0.0.1", "[::1]"])


def check_origin(environ: dict[str, Any]) -> None:
    """Raise `Forbidden` for what a foreign web page may have caused, while requests without a key are taken.

    A browser on this machine reaches loopback for any page it shows; without a key to hold back, the page's
    origin and a rebound host name are all that tells such a request from one the user meant.
    """
    if not CURRENT.anonymous_project:
        return
    host = environ.get("HTTP_HOST", "")
    if not _is_loopback(host):
        raise errors.Forbidden("without keys only localhost, 127.0.0.1 and [::1] are answered", field="Host")
    origin = environ.get("HTTP_ORIGIN")
    if origin is not None and origin.partition("://")[2] != host:
        raise errors.Forbidden("a page of another origin may not ask here", field="Origin")
    if environ.get("HTTP_SEC_FETCH_SITE") == "cross-site":
        raise errors.Forbidden("a page of another site may not ask here", field="Sec-Fetch-Site")


@lru_cache(1000)
def _is_loopback(host: str) -> bool:
    name, _, port = host.rpartition(":")
    return (name if port.isdigit() else host) in _LOOPBACK


class KeyAuthentication(BaseAuthentication):
    """`request.auth` is the principal of the key. Without a header a logged-in person goes first, if there is one."""

    def authenticate(self, request: Request) -> tuple[Any, Principal] | None:
        check_origin(request.META)
        header = request.META.get("HTTP_AUTHORIZATION")
        if header is None and (_is_staff(request) or snapshot.current().anonymous is None):
            return None
        try:
            principal = snapshot.authenticate(header)
        except errors.NotAuthenticated as error:
            raise AuthenticationFailed(error.message) from error
        return principal, principal

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="serving"'


def _is_staff(request: Request) -> bool:
    user = getattr(request._request, "user", None)
    return bool(user is not None and user.is_active and user.is_staff)
