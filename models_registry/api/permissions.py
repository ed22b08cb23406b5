"""What the key may do: every view names the scope each of its methods needs."""

from __future__ import annotations

from rest_framework.permissions import BasePermission


class HasScope(BasePermission):
    pass
