"""The site's app: loading it makes our Celery app the one that `shared_task` binds to."""

from __future__ import annotations

from django.apps import AppConfig

from serving_site.celery import app as celery_app

__all__ = ["ServingSiteConfig", "celery_app"]


class ServingSiteConfig(AppConfig):
    name = "serving_site"

    def ready(self) -> None:
        from serving_site import checks, env, watching  # noqa: F401 - importing registers the checks

        watching.connect()
        if not env.EMBEDDED:
            from serving_site import worker

            worker.connect(celery_app)
