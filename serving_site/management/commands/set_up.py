"""`manage.py set_up`: tables, the first administrator and, where asked for, the demo models; safe to repeat.

A deployment runs it once before its other processes start.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from serving_site import env


class Command(BaseCommand):
    help = (
        "Migrate the database, make the first administrator from ADMIN_USER and ADMIN_PASSWORD; only what is missing."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate", verbosity=1, interactive=False, stdout=self.stdout)
        if made := make_administrator(env.ADMIN_USER, env.ADMIN_PASSWORD):
            self.stdout.write(f"Administrator {made} was made.")
        if env.DEMO_MODELS:
            self.stdout.write("Publishing the demo models …")
            call_command("quickstart", stdout=self.stdout)
        self.stdout.write("Set up.")


def make_administrator(name: str, password: str) -> str:
    """Make a superuser unless there is one, or no password; return its name, or nothing.

    Raises CommandError when the password is one that Django's validators refuse, or the name is somebody else's.
    """
    from django.contrib.auth.password_validation import validate_password

    users = get_user_model().objects
    if not password or users.filter(is_superuser=True).exists():
        return ""
    if users.filter(username=name).exists():
        raise CommandError(f"ADMIN_USER: {name} exists and is no administrator.")
    try:
        validate_password(password)
    except ValidationError as error:
        raise CommandError(f"ADMIN_PASSWORD: {' '.join(error.messages)}") from error
    users.create_superuser(username=name, password=password)
    return name
