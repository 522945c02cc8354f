"""Warnings of a run about changes that it cannot see, each with its remedy."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from crew_repo import adapter
from crew_repo.model import PLANNER, Opaque
from crew_repo.staleness import Current

__all__ = ["warn_of_opaque", "warn_of_tools"]

log = logging.getLogger("crew_repo")


def warn_of_opaque(current: Current, told: set[str], about: Mapping[str, object]) -> None:
    """Say what of a task cannot be hashed. `told`: the data elsewhere that were named in this run already.

    `about` has the fields of the log record.
    """
    for opaque in current.definition.opaque:
        if opaque.elsewhere:
            _warn_of_data(current, opaque, told, about)
            continue
        log.warning(
            "task %s runs every time: its part %s cannot be hashed (%s), so a change would not be seen. Give it a "
            "hasher with register_hasher, or leave it out with TaskPolicy(ignore=(%r,)).",
            current.task_name, opaque.path, opaque.why, opaque.path, extra=about,
        )  # fmt: skip


def _warn_of_data(current: Current, opaque: Opaque, told: set[str], about: Mapping[str, object]) -> None:
    """Say once in a run which data are not seen, unless the task's policy has an answer to it."""
    policy = current.policy
    answered = policy.files or policy.always or policy.max_age is not None or policy.salt is not None
    if answered or opaque.path in told:
        return
    told.add(opaque.path)
    log.warning(
        "crew_repo cannot see the data that task %s reads by its part %s (%s). If that data changes, the answer of "
        "before is reused. Name its files with TaskPolicy(files=...), or give the task max_age or always=True.",
        current.task_name, opaque.path, opaque.in_short, extra=about,
    )  # fmt: skip
    log.debug("The data that is not seen: %s", opaque, extra=about)


def warn_of_tools(current: Current, executed_above: Sequence[str], about: Mapping[str, object]) -> None:
    """Say of a served task that tools ran above it: only words are compared, and tools may have written a file."""
    declared = current.policy.files is not None or current.task_name == PLANNER
    if declared or not executed_above or not adapter.uses_tools(current.definition):
        return
    names = ", ".join(map(repr, executed_above))
    log.warning(
        "task %s is reused, since the answer of %s that it reads is the same as before. That was executed again, with "
        "tools. If a tool of %s reads a file that those tools write, declare the file: "
        "TaskPolicy(files=(\"that/file\",)) for task %s. If there is no such file, declare files=().",
        current.task_name, names, current.task_name, current.task_name, extra=about,
    )  # fmt: skip
