"""The hashes of the records that crew_repo keeps."""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from typing import Any

from crew_repo.canonical import Encoded, digest, encode_json, encode_text, private_digest, seal
from crew_repo.model import Component, StoredResult

__all__ = [
    "context_hash",
    "definition_hash",
    "held_hash",
    "input_hash",
    "output_hash",
    "private_text_hash",
    "sent_hash",
    "text_hash",
]

_LATER = frozenset({"reading_json"})
_MEMBERS = tuple(sorted(StoredResult.__slots__))


def text_hash(text: str) -> str:
    """The hash of a text: a description, a role, a file's decoded content."""
    return digest("text", text)


def private_text_hash(text: str, rest: str) -> str:
    """The hash of a text with a secret in it; `rest`, the text without its secrets, is the salt."""
    return private_digest("text", text, salt=rest)


def context_hash(context: str, plan: str = "") -> str:
    """The hash of what a task is told by others: the exact text of its upstreams, and of the planner."""
    return digest("context", context) if not plan else digest("planned context", [context, plan])


def sent_hash(context_hash: str, resolved: Iterable[Component]) -> str:
    """The hash of what a task is told by others, and of what servers gave for this execution."""
    return digest("sent", {"context": context_hash, "resolved": sorted([c.path, c.sha256] for c in resolved)})


def definition_hash(components: Iterable[Component]) -> str:
    """The hash of the components that act, whatever their order. Their `text` is not in it."""
    acting = sorted((c for c in components if c.acts), key=attrgetter("path", "sha256"))
    return seal("definition", ["list", *(["list", encode_text(c.path), c.sha256] for c in acting)])


def input_hash(definition_hash: str, context_hash: str, occurrence: int) -> str:
    """The hash by which a record is found. `occurrence` tells equal tasks of one run apart."""
    asked = {"context": context_hash, "definition": definition_hash, "occurrence": occurrence}
    return seal("input", ["dict", *map(list, asked.items())])  # as `digest` has it


def held_hash(definition_hash: str, output: str) -> str:
    """The hash of an answer that is held for a definition, so that an edit of either by hand is noticed."""
    return digest("held answer", {"definition": definition_hash, "output": output})


def output_hash(result: StoredResult) -> str:
    """The hash over every member of a stored result, so that an edit by hand is noticed.

    A member that came after version 0.1.0 counts where it says something: older records keep their hashes.
    """
    members = ((name, getattr(result, name)) for name in _MEMBERS)
    said = [[name, _encoded(value)] for name, value in members if value is not None or name not in _LATER]
    return seal("output", ["dict", *said])  # as `digest` has it, in half the time


def _encoded(value: Any) -> Encoded:
    return encode_text(value) if type(value) is str else encode_json(value)
