"""Messages of requests, as hashes. A request mostly begins as the one before it, and only what it adds is encoded."""

from __future__ import annotations

import marshal
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, NamedTuple

from crew_repo.adapter.running.call_values import numbered_ids, request_text
from crew_repo.canonical import seal

__all__ = ["Messages"]

_NOTHING = seal("messages", [])


class _Said(NamedTuple):
    """A message as it was, and the hash of it and of all before it. `ids`: the numbers of those so far."""

    copy: dict[str, str] | bytes | str
    ids: dict[str, str]
    sha256: str


class Messages:
    """The messages of the last request of a conversation. Safe to use from many threads."""

    def __init__(self) -> None:
        self._said: Sequence[_Said] = ()

    def hash_of(self, messages: Sequence[object]) -> tuple[str, dict[str, str]]:
        """The hash of all messages, and the numbers of their IDs. Raises Unkept for what cannot be told apart."""
        said = self._begun(messages)
        for message in messages[len(said) :]:
            said.append(_after(said, message))
        self._said = said
        return (said[-1].sha256, said[-1].ids) if said else (_NOTHING, {})

    def _begun(self, messages: Sequence[object]) -> list[_Said]:
        """Messages that the last request has said already."""
        begun: list[_Said] = []
        for known, message in zip(self._said, messages, strict=False):
            if known.copy != (message if type(known.copy) is dict else _exactly(message)):
                break
            begun.append(known)
        return begun


def _after(said: Sequence[_Said], message: Any) -> _Said:
    before, ids = (said[-1].sha256, said[-1].ids) if said else (_NOTHING, {})
    text, ids = numbered_ids(request_text(message), ids)
    only_texts = type(message) is dict and all(type(part) is str for item in message.items() for part in item)
    copy = dict(message) if only_texts else _exactly(message)
    return _Said(copy, ids, sha256(f"{before}{text}".encode()).hexdigest())


def _exactly(message: Any) -> bytes | str:
    """Bytes that differ where the JSON of a message does, in a fifth of the time; nothing ever reads them."""
    try:
        return marshal.dumps(message, 2)  # later versions tell equal texts apart
    except ValueError:
        return request_text(message)
