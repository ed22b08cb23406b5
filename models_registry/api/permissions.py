"""What the key may do: every view names the scope each of its methods needs."""

from __future__ import annotations

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from models_registry.principals import Principal


class HasScope(BasePermission):
    """A view declares `scopes = {"GET": "read", "POST": "predict"}`; what it does not name is refused.

    The scope None opens a method to everyone. HEAD follows GET; OPTIONS describes a view to whoever may read it.
    Which models a key may use is checked where the route is known: `snapshot.find` and `snapshot.entry`.
    """

    message = "the key lacks the scope this needs"

    def has_permission(self, request: Request, view: Any) -> bool:
        scopes = getattr(view, "scopes", {})
        method = "GET" if request.method in ("HEAD", "OPTIONS") and request.method not in scopes else request.method
        if method not in scopes:
            # A verb the view does not have is answered 405 by the view itself; one it has but does not name is closed.
            return not hasattr(view, (method or "").lower())
        scope = scopes[method]
        if scope is None:
            return True
        if isinstance(request.auth, Principal):
            self.message = f"this needs the scope {scope!r}, which the key does not have"
            return scope in request.auth.scopes
        user = request.user
        return bool(user is not None and user.is_active and user.is_staff)
