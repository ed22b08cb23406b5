"""`manage.py set_up`: what a deployment runs before its processes start."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from django.core.management.base import CommandError

from serving_site.management.commands.set_up import make_administrator

PASSWORD = "correct-horse-battery-staple"

pytestmark = pytest.mark.django_db


def test_the_first_administrator_is_made_once() -> None:
    assert make_administrator("root", PASSWORD) == "root"
    assert make_administrator("other", PASSWORD) == ""
    admin = get_user_model().objects.get()
    assert admin.is_superuser
    assert admin.check_password(PASSWORD)


def test_nobody_is_made_without_a_password() -> None:
    assert make_administrator("root", "") == ""
    assert not get_user_model().objects.exists()


def test_a_weak_password_is_refused_by_name() -> None:
    with pytest.raises(CommandError, match=r"ADMIN_PASSWORD: .*too"):
        make_administrator("root", "12345")
    assert not get_user_model().objects.exists()


def test_somebody_who_is_no_administrator_is_not_made_one() -> None:
    get_user_model().objects.create_user("root", password=PASSWORD)
    with pytest.raises(CommandError, match="ADMIN_USER: root exists"):
        make_administrator("root", PASSWORD)
    assert not get_user_model().objects.filter(is_superuser=True).exists()
