"""Give a fresh server something to predict with: train four models and publish them as a user would."""

from __future__ import annotations

import contextlib
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from models_registry.demo import training
from models_registry.models import Alias, ModelVersion, Project, RegisteredModel
from models_registry.routing import CHAMPION

PROJECT = "demo"

#: Seconds one model may take to train.
TRAINING_LIMIT_S = 120.0


class Command(BaseCommand):
    help = "Train and publish the demo models iris, breast_cancer, diabetes and penguins; does only what is missing."

    def handle(self, *args: Any, **options: Any) -> None:
        project, _ = Project.objects.get_or_create(name=PROJECT)
        there = set(Alias.objects.filter(model__project=project, name=CHAMPION).values_list("model__name", flat=True))
        missing = [name for name in training.MODELS if name not in there]
        if not missing:
            return
        # Imported late: with all models there, starting a server must not pay for it.
        from models_registry.publishing import publication

        with contextlib.closing(publication.open_sandbox()) as sandbox:
            for name in missing:
                self._publish(project, name, sandbox)

    def _publish(self, project: Project, name: str, sandbox: Any) -> None:
        from models_registry import publishing

        started = time.monotonic()
        self._tell(f"  {name}: training")
        trained = sandbox.call(training.train, name, timeout=TRAINING_LIMIT_S)
        model, _ = RegisteredModel.objects.get_or_create(
            project=project, name=name, defaults={"description": training.MODELS[name]}
        )
        version = publishing.submit(
            model,
            trained.model,
            filename=f"{name}.skops",
            sample=trained.sample,
            alias=CHAMPION,
            who="quickstart",
            why="demo model",
            enqueue=False,
        )
        version = publishing.publish(version.pk, lambda step: self._tell(f", {step}"), sandbox=sandbox)
        self.stdout.write(f" → version {version.number} {version.status} in {time.monotonic() - started:.1f} s")
        if version.status != ModelVersion.Status.READY:
            raise CommandError(f"{name} was {version.status}: {version.reason}")

    def _tell(self, what: str) -> None:
        self.stdout.write(what, ending="")
        self.stdout.flush()
