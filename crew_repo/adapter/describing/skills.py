"""The components of skills: the texts that CrewAI has in memory and sends, and the files that it reads later."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from crewai.skills.models import INSTRUCTIONS, Skill

from crew_repo.adapter import private
from crew_repo.adapter.describing.components import Parts
from crew_repo.time_limits import let_through

__all__ = ["add_skills"]

_SKILL_FILE = "SKILL.md"


def add_skills(
    parts: Parts, prefix: str, skills: Iterable[Any] | None, *, besides: Iterable[Any] | None = None
) -> None:
    """Each skill by its texts and how much of it is disclosed, under `{prefix}skill:{name}`.

    A registry reference counts by its name, since a plan asks no network; a folder as a kickoff would load it now.
    `besides`: skills of the crew, described there; a kickoff puts them among each agent's own.
    """
    if not skills:
        return
    described = _loaded(besides)
    names = []
    for number, skill in enumerate(_loaded(skills), start=1):
        if skill in described:
            continue
        if isinstance(skill, Skill):
            names.append(skill.name)
            _add_skill(parts, f"{prefix}skill:{skill.name}", skill)
        else:
            parts.text(f"{prefix}skill:{number}", str(skill))
    if len(names) > 1:
        parts.json(f"{prefix}skills.order", names, keep=True)


def _loaded(skills: Iterable[Any] | None) -> list[Any]:
    """The skills as a kickoff hands them to the agents; what cannot be loaded without a network stays as it is."""
    return [loaded for skill in skills or [] for loaded in _loaded_one(skill)]


def _loaded_one(skill: Any) -> list[Any]:
    if isinstance(skill, str) and skill.startswith("@"):
        return [skill]
    try:
        return private.loaded_skills([skill])
    except Exception as error:  # noqa: BLE001 - a folder that is gone, a text that is no skill: the kickoff itself will say so
        let_through(error)
        return [skill]


def _add_skill(parts: Parts, path: str, skill: Skill) -> None:
    """Where its instructions are only read when a model asks for them, the file that they stand in."""
    parts.value(path, {name: value for name, value in skill if name != "path"})
    if skill.disclosure_level < INSTRUCTIONS:
        parts.file(f"{path}.file", skill.path / _SKILL_FILE)
