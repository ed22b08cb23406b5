"""What there is to watch: the names that the filters of the monitoring pages offer."""

from __future__ import annotations

from models_registry.models import ModelVersion, Project, RegisteredModel

#: A list to choose from need not be longer.
MOST = 2000


def names(project: str, model: str) -> tuple[tuple[str, ...], tuple[str, ...], tuple[int, ...]]:
    """Every project; the models of `project`, or of the first one; the versions of `model`, newest first."""
    projects = tuple(Project.objects.order_by("name").values_list("name", flat=True)[:MOST])
    chosen = project or next(iter(projects), "")
    models = RegisteredModel.objects.filter(project__name=chosen).order_by("name").values_list("name", flat=True)
    versions = ModelVersion.objects.filter(model__project__name=chosen, model__name=model).order_by("-number")
    numbers = versions.values_list("number", flat=True)[:MOST] if model else ()
    return projects, tuple(models[:MOST]), tuple(numbers)
