"""Tokens: what a task or a run has spent, in all and by the model that was asked."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["KINDS_OF_TOKENS", "ModelTokens", "Usage", "by_model_from_json", "by_model_to_json"]

KINDS_OF_TOKENS = ("input", "cached_input", "cache_write", "output")
"""Kinds of tokens that providers price differently; the members of ModelTokens and of a Price."""
_Sum = Callable[[int, int], int]


@dataclass(frozen=True, slots=True)
class ModelTokens:
    """Tokens that one model was sent and gave, each counted once.

    `cached_input` are tokens of prompts that the provider read from its cache, `cache_write` those that it wrote into
    it, `input` all others. `output` is what the model wrote, with what it thought where CrewAI counts that.
    """

    model: str
    input: int = 0
    cached_input: int = 0
    cache_write: int = 0
    output: int = 0

    @property
    def counts(self) -> tuple[int, ...]:
        """The numbers, in the order of KINDS_OF_TOKENS."""
        return (self.input, self.cached_input, self.cache_write, self.output)


@dataclass(frozen=True, slots=True)
class Usage:
    """Numbers of tokens and requests, as the provider of the model counted them.

    `by_model` has the tokens of each model, in the order of their names; it lacks those of which that is not known.
    """

    total_tokens: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_prompt_tokens: int = 0
    successful_requests: int = 0
    by_model: tuple[ModelTokens, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        return {**asdict(self), "by_model": [asdict(each) for each in self.by_model]}

    def __add__(self, other: Usage) -> Usage:
        return self if other == _NONE else _together(self, other, operator.add)

    def __sub__(self, other: Usage) -> Usage:
        return self if other == _NONE else _together(self, other, operator.sub)


_NONE = Usage()


def _together(one: Usage, other: Usage, do: _Sum) -> Usage:
    return Usage(
        do(one.total_tokens, other.total_tokens),
        do(one.prompt_tokens, other.prompt_tokens),
        do(one.completion_tokens, other.completion_tokens),
        do(one.cached_prompt_tokens, other.cached_prompt_tokens),
        do(one.successful_requests, other.successful_requests),
        _by_model(one.by_model, other.by_model, do),
    )


def _by_model(one: Iterable[ModelTokens], other: Iterable[ModelTokens], do: _Sum) -> tuple[ModelTokens, ...]:
    """Models of which something is left; the same model is one."""
    ours, theirs = ({each.model: each.counts for each in some} for some in (one, other))
    none = (0,) * len(KINDS_OF_TOKENS)
    counts = {name: tuple(map(do, ours.get(name, none), theirs.get(name, none))) for name in sorted({*ours, *theirs})}
    return tuple(ModelTokens(name, *found) for name, found in counts.items() if any(found))


def by_model_to_json(by_model: Iterable[ModelTokens]) -> str | None:
    """The tokens of each model as JSON, `{"gpt-4o":{"input":120,"output":5}}`; None if there are none."""
    found = {
        each.model: {kind: count for kind, count in zip(KINDS_OF_TOKENS, each.counts, strict=True) if count}
        for each in by_model
    }
    return json.dumps(found, ensure_ascii=False, separators=(",", ":")) if found else None


def by_model_from_json(text: str | None) -> tuple[ModelTokens, ...]:
    """The inverse of `by_model_to_json`; nothing for what it did not write: these tokens have no price then."""
    try:
        found = tuple(ModelTokens(model, **kinds) for model, kinds in json.loads(text or "{}").items())
    except (AttributeError, TypeError, ValueError):
        return ()
    return found if all(type(count) is int for each in found for count in each.counts) else ()
