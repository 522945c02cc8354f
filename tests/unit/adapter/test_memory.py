"""What counts of a memory: how it finds what it recalls, and not what that is."""

from __future__ import annotations

from typing import Any

import pytest
from crewai.memory.unified_memory import Memory

from crew_repo.adapter.describing.components import Parts
from crew_repo.adapter.describing.knowledge import add_memory
from tests.models import PromptModel


def embed(texts: Any) -> Any:
    """One embedding for all."""
    return [[0.1] * 3 for _ in texts]


def embed_otherwise(texts: Any) -> Any:
    """Another one."""
    return [[0.2] * 3 for _ in texts]


class Recalling(Memory):
    """A memory of the user's own."""

    def recall(self, *_: Any, **__: Any) -> list[Any]:
        """Nothing."""
        return []


class Nowhere:
    """A storage that keeps nothing: CrewAI's own takes twenty seconds to import."""


def memory(kind: type[Memory] = Memory, **members: Any) -> Memory:
    return kind(**{"llm": PromptModel(model="m"), "embedder": embed, "storage": Nowhere(), **members})


def described(of: Any) -> set[tuple[str, str]]:
    parts = Parts()
    add_memory(parts, "memory", of)
    assert not parts.definition().opaque
    return {(each.path, each.sha256) for each in parts.definition().components}


@pytest.mark.parametrize(
    ("other", "paths"),
    [
        (lambda: memory(), set()),
        (lambda: memory(root_scope="/claims"), {"memory.root_scope"}),
        (lambda: memory(exploration_budget=3), {"memory.exploration_budget"}),
        (lambda: memory(recency_weight=0.9), {"memory.recency_weight"}),
        (lambda: memory(embedder=embed_otherwise), {"memory.embedder"}),
        (lambda: memory(llm=PromptModel(model="another")), {"memory.llm.model"}),
        (lambda: memory(Recalling), {"memory", "memory.source"}),
    ],
)
def test_how_a_memory_finds_counts(other: Any, paths: set[str]) -> None:
    """Its scope, weights, thresholds, embedder and model, and the code of a class of the user's."""
    assert {path for path, _ in described(memory()) ^ described(other())} == paths


@pytest.mark.parametrize(
    ("one", "other", "paths"),
    [
        (lambda of: of.scope("/a"), lambda of: of.scope("/b"), {"memory.root_path"}),
        (lambda of: of.slice(["/a"]), lambda of: of.slice(["/b"]), {"memory.scopes"}),
        (lambda of: of.slice(["/a"]), lambda of: of.slice(["/a"], categories=["x"]), {"memory.categories"}),
    ],
)
def test_a_part_of_a_memory_counts_by_which_it_is(one: Any, other: Any, paths: set[str]) -> None:
    """A scope by its path, a slice by its scopes and categories."""
    assert {path for path, _ in described(one(memory())) ^ described(other(memory()))} == paths
