"""The site's settings with the model that waits; as a program, `python -m tests.bench.waiting` registers it."""

from serving_site.settings import *  # noqa: F403
from tests import cast
from tests.misbehaving import WAITING_S

#: Tells this process how models of its format are opened.
MEMBER = cast.native("waiting")


def register() -> None:
    """A ready version in the project of the demo."""
    import django

    django.setup()
    from models_registry.models import RegistryRevision

    cast.register("demo", "waiting", MEMBER, row_cost_s=[WAITING_S, 8 * WAITING_S, 64 * WAITING_S])
    RegistryRevision.bump()


if __name__ == "__main__":
    register()
