"""The handlers of all types: each module declares its own when it is imported."""

from crew_repo.hashing.handlers import (
    classes,
    functions,
    http_clients,
    objects,
    pydantic_models,
    remote_data,
    resources,
    type_hints,
    values,
)

__all__ = [
    "classes",
    "functions",
    "http_clients",
    "objects",
    "pydantic_models",
    "remote_data",
    "resources",
    "type_hints",
    "values",
]
