#!/usr/bin/env python
"""Django's command line for Serving Blueprint."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "serving_site.settings")
    if sys.argv[1:] == ["serve"]:
        # Before Django: the supervisor needs none of it, and would carry it for as long as it lives.
        from serving_site import supervisor

        supervisor.enter()
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
