"""What a run imports as it goes, for processes that are forked: each would import it again."""

from __future__ import annotations

import gc
from contextlib import suppress
from importlib import import_module

NAMES = (
    "crewai.hooks.contexts",
    "crewai.llms.cache",
    "crewai.llms.providers.openai.completion",
    "crewai.skills.tool",
    "httpcore",
    "litellm",
    "openai.resources.beta",
    "openai.resources.chat",
    "crew_repo.adapter.running.kickoff",
    "crew_repo.runner.attaching",
    "crew_repo.runner.engine",
    "crew_repo.runner.running",
    "crew_repo.runner.taken_workflow",
    "crew_repo.store.store",
    "tests.crash.journal.lives",
)

for name in NAMES:
    with suppress(ModuleNotFoundError):  # not every CrewAI has all of them
        import_module(name)
gc.freeze()  # a child that collects garbage copies every page of it
