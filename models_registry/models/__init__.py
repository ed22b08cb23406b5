"""What can predict, and who may ask: the rows of the registry and the verbs that change them."""

from models_registry.models.access import ApiKey, Project
from models_registry.models.deployment import Alias, RegistryRevision
from models_registry.models.event import DeploymentEvent
from models_registry.models.version import ModelVersion, RegisteredModel, UploadKey

__all__ = [
    "Alias",
    "ApiKey",
    "DeploymentEvent",
    "ModelVersion",
    "Project",
    "RegisteredModel",
    "RegistryRevision",
    "UploadKey",
]
