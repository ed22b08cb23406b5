"""The registry's pages for people."""

from models_registry.admin import keys, people, registry, versions

__all__ = ["keys", "people", "registry", "versions"]
