"""The Celery app: queues and routes come from settings, tasks from the rooms."""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "serving_site.settings")

app = Celery("serving_site")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["predictions.queued", "models_registry.publishing"])
