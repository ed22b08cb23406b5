"""What the registry's commands share: finding projects and models by name, and the API's shapes."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from rest_framework import serializers

from models_registry import errors
from models_registry.models import Alias, ModelVersion, Project, RegisteredModel
from monitoring.command import VerbCommand

DEFAULT_PROJECT = "demo"


class RegistryCommand(VerbCommand):
    """A verb on the rows of one project."""

    refusals = (errors.DomainError,)

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--project", default=DEFAULT_PROJECT, help=f"name of the project (default {DEFAULT_PROJECT})"
        )


def find_project(name: str) -> Project:
    found = Project.objects.filter(name=name).first()
    if found is None:
        raise errors.NotFound(f"project {name} not found")
    return found


def find_model(project: str, name: str) -> RegisteredModel:
    found = find_project(project).models.select_related("project").filter(name=name).first()
    if found is None:
        raise errors.NotFound(f"model {project}/{name} not found")
    return found


def find_alias(project: str, name: str, alias: str) -> Alias:
    """An alias of a model by name; raises `NotFound`."""
    found = find_model(project, name).aliases.filter(name=alias).first()
    if found is None:
        raise errors.NotFound(f"alias {alias} not found")
    return found


def find_version(project: str, name: str, number: int) -> ModelVersion:
    found = find_model(project, name).versions.select_related("model__project").filter(number=number).first()
    if found is None:
        raise errors.NotFound(f"model {project}/{name} has no version {number}")
    return found


def plain(shape: type[serializers.Serializer[Any]], row: Any) -> dict[str, Any]:
    """A row as the API shows it."""
    return dict(shape(row).data)
