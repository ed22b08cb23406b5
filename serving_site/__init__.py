"""The site: composition only. Importing it makes the Celery app the one that `shared_task` binds to."""

from serving_site.celery import app as celery_app

__all__ = ["celery_app"]
