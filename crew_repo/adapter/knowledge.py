"""The components of knowledge and skills: their content, wherever it lies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from crewai.knowledge.source.base_knowledge_source import BaseKnowledgeSource

from crew_repo.adapter.parts import Parts, is_crewais
from crew_repo.hashing import left_out

__all__ = ["add_embedder", "add_knowledge", "add_skills", "given_sources"]

_NOT_CONTENT = frozenset(
    ["chunks", "chunk_embeddings", "storage", "collection_name", "file_path", "file_paths", "safe_file_paths"]
)


def add_knowledge(parts: Parts, prefix: str, sources: Sequence[BaseKnowledgeSource] | None) -> None:
    """Each source's content and chunking, under `{prefix}knowledge:{file name}`; files are read again."""
    counted: Counter[str] = Counter()
    for source in sources or []:
        name = _name(source)
        counted[name] += 1
        path = f"{prefix}knowledge:{name}" + (f"#{counted[name]}" if counted[name] > 1 else "")
        _add_source(parts, path, source)


def given_sources(owner: Any) -> Sequence[BaseKnowledgeSource] | None:
    """The sources of a crew or an agent: its own, else those of a Knowledge that was given to it whole."""
    return owner.knowledge_sources or getattr(owner.knowledge, "sources", None)


def _files(source: BaseKnowledgeSource) -> list[Path]:
    return [Path(file) for file in getattr(source, "safe_file_paths", None) or []]


def _name(source: BaseKnowledgeSource) -> str:
    files = _files(source)
    return files[0].name if files else type(source).__name__


def _add_source(parts: Parts, path: str, source: BaseKnowledgeSource) -> None:
    for name, value in source.__dict__.items():
        if name in _NOT_CONTENT or left_out(name, value) or (name == "content" and not value):
            continue
        if name == "content" and isinstance(value, dict):
            value = {Path(file).name: text for file, text in value.items()}
        parts.value(path if name == "content" else f"{path}.{name}", value)
    for file in _files(source):
        parts.file(f"{path}.file:{file.name}", file)
    if not is_crewais(type(source)):
        parts.cls(f"{path}.source", type(source))


def add_embedder(parts: Parts, path: str, embedder: Any) -> None:
    """The embedder's provider and parameters, without keys."""
    if embedder is not None:
        parts.value(path, embedder)


def add_skills(
    parts: Parts, prefix: str, skills: Iterable[Any] | None, *, besides: Iterable[Any] | None = None
) -> None:
    """Each skill by the text of its SKILL.md; a registry reference by its name, since a plan asks no network.

    `besides`: skills of the crew, described there; a kickoff puts them among each agent's own.
    """
    described = {file for skill in besides or [] for file in _skill_files(skill)}
    for number, skill in enumerate(skills or [], start=1):
        files = _skill_files(skill)
        for file in files:
            if file not in described:
                parts.file(f"{prefix}skill:{file.parent.name}", file)
        if not files and isinstance(skill, (str, Path)):
            parts.text(f"{prefix}skill:{number}", str(skill))
        elif not files:
            parts.value(f"{prefix}skill:{number}", skill)


def _skill_files(skill: Any) -> list[Path]:
    """The SKILL.md files in the folders of a folder, or that of a loaded skill; none for a text."""
    if isinstance(skill, str) and (skill.startswith("@") or "\n" in skill):
        return []
    if isinstance(skill, (str, Path)):
        return sorted(file.resolve() for file in Path(skill).glob("*/SKILL.md"))
    own = Path(getattr(skill, "path", None) or "") / "SKILL.md"
    return [own.resolve()] if own.is_file() and getattr(skill, "path", None) else []
