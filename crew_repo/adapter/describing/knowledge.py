"""The components of knowledge sources: their content, from text, files or elsewhere."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from crewai.knowledge.source.base_knowledge_source import BaseKnowledgeSource
from crewai.llms.base_llm import BaseLLM
from pydantic import BaseModel

from crew_repo.adapter.describing.components import Parts, crewais_names, is_crewais, numbered
from crew_repo.adapter.describing.llm import add_llm
from crew_repo.hashing import left_out, model_state

__all__ = ["add_embedder", "add_knowledge", "add_memory", "given_sources"]

_FILE_NAMES = frozenset({"file_path", "file_paths"})
_NOT_CONTENT = frozenset(
    ["chunks", "chunk_embeddings", "storage", "collection_name", "file_path", "file_paths", "safe_file_paths"]
)

# What memory is found, and how; what is written, and where, is state.
_OF_MEMORY = (
    *("scope", "scopes", "root_scope", "root_path", "categories", "read_only", "recency_weight", "semantic_weight"),
    *("importance_weight", "recency_half_life_days", "exploration_budget", "confidence_threshold_high"),
    *("confidence_threshold_low", "complex_query_threshold", "query_analysis_threshold"),
)


def add_knowledge(parts: Parts, prefix: str, sources: Sequence[BaseKnowledgeSource] | None) -> None:
    """Each source's content and chunking, under `{prefix}knowledge:{file name}`; files are read again."""
    given = sources or []
    for name, source in zip(numbered(map(_name, given)), given, strict=True):
        _add_source(parts, f"{prefix}knowledge:{name}", source)


def given_sources(owner: Any) -> Sequence[BaseKnowledgeSource] | None:
    """The sources of a crew or an agent: its own, else those of a Knowledge that was given to it whole."""
    return owner.knowledge_sources or getattr(owner.knowledge, "sources", None)


def _files(source: BaseKnowledgeSource) -> list[Path]:
    return [Path(file) for file in getattr(source, "safe_file_paths", None) or []]


def _named(files: Sequence[Path]) -> dict[str, Path]:
    """Files by their names without folders."""
    return dict(zip(numbered(file.name for file in files), files, strict=True))


def _name(source: BaseKnowledgeSource) -> str:
    files = _files(source)
    return files[0].name if files else type(source).__name__


def _add_source(parts: Parts, path: str, source: BaseKnowledgeSource) -> None:
    own = _own_names(source)
    files = _named(_files(source))
    for name, value in source.__dict__.items():
        if name in own or name in _NOT_CONTENT or left_out(name, value) or (name == "content" and not value):
            continue
        if name == "content" and isinstance(value, dict):
            names = {file: name for name, file in files.items()}
            value = {names.get(Path(file), Path(file).name): text for file, text in value.items()}
        parts.value(path if name == "content" else f"{path}.{name}", value)
    for name, file in files.items():
        parts.file(f"{path}.file:{name}", file)
    if not is_crewais(type(source)):
        parts.cls(f"{path}.source", type(source))
        parts.own(path, source, own)
        for name, file in _named(_own_files(source, own)).items():
            parts.file(f"{path}.file:{name}", file)


def _own_names(source: BaseKnowledgeSource) -> set[str]:
    """Names of what the user's own class holds beside what CrewAI's does; `content` means the same in both."""
    return model_state(source).keys() - crewais_names(type(source)) - {"content"}


def _own_files(source: BaseKnowledgeSource, own: set[str]) -> list[Path]:
    """The files that it names: what they say counts, beside where they are; under CrewAI's names also missing ones."""
    given = [(name, item) for name in sorted(own) for item in _each(getattr(source, name, None))]
    named = [(name, Path(item)) for name, item in given if isinstance(item, (str, Path)) and not left_out(name, item)]
    return list(dict.fromkeys(file for name, file in named if name in _FILE_NAMES or _is_file(file)))


def _is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113 - any text may be no path


def _each(value: object) -> Sequence[object]:
    return value if isinstance(value, (list, tuple)) else [value]


def add_embedder(parts: Parts, path: str, embedder: Any) -> None:
    """The embedder's provider and parameters, without keys."""
    if embedder is not None:
        parts.value(path, embedder)


def add_memory(parts: Parts, path: str, memory: Any) -> None:
    """That there is a memory, and how it is configured; what it recalls is state (TaskPolicy.memory)."""
    if not memory:
        return
    parts.json(path, True if memory is True else type(memory).__name__, keep=True)
    if isinstance(memory, BaseModel):
        for name in _OF_MEMORY:
            value = memory.__dict__.get(name)
            if value is not None and isinstance(value, (str, int, float, bool, list)):
                parts.value(f"{path}.{name}", value, keep=True)
        add_embedder(parts, f"{path}.embedder", memory.__dict__.get("embedder"))
        llm = memory.__dict__.get("llm")
        if isinstance(llm, (str, BaseLLM)):
            add_llm(parts, f"{path}.llm", llm)
        if not is_crewais(type(memory)):
            parts.cls(f"{path}.source", type(memory))
