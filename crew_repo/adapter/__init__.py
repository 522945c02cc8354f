"""The only code that imports crewai: what a crew is, and how a run of it is met at its task boundary."""

from __future__ import annotations

from crew_repo.adapter.supported import check_version, unsupported

check_version()
try:
    from crew_repo.adapter import embedded as embedded
    from crew_repo.adapter.boundary import Handler, overridden
    from crew_repo.adapter.copies import copy_crew, output_of
    from crew_repo.adapter.definition import Describer, take_up
    from crew_repo.adapter.executions import as_if_first
    from crew_repo.adapter.files import changed_file
    from crew_repo.adapter.graph import (
        condition_says,
        context_tasks,
        crew_llms,
        is_conditional,
        joined,
        model_name,
        reads_all_before,
        recorded_names,
        skipped_output,
        task_names,
        upstreams,
    )
    from crew_repo.adapter.hints import hints_about
    from crew_repo.adapter.kickoff import (
        UsageBefore,
        akickoff,
        check_crew,
        check_inputs,
        check_process,
        facts,
        files_in,
        has_memory,
        is_crew_output,
        kickoff,
        planned_inputs,
        prepared,
        refuse_checkpoint,
    )
    from crew_repo.adapter.outputs import NotRestorable, restore_output, store_output, store_text
    from crew_repo.adapter.parts import Memo
    from crew_repo.adapter.planning import Planner, plan_texts
    from crew_repo.adapter.remotes import connects, resolved_tools
    from crew_repo.adapter.secrets import secret_inputs, secrets_of, secrets_of_error, without_secrets
    from crew_repo.adapter.serving import file_text, fire_callbacks, output_file, restore_file, says, serve
    from crew_repo.adapter.tools import uses_tools
    from crew_repo.adapter.usage import UsageTracker
    from crew_repo.adapter.view import CrewView, TaskView, Texts, live_task, live_view, own_view, planned_view, said_to
    from crew_repo.adapter.work import HandedOn, all_handed_on
except ImportError as lacking:
    raise unsupported(lacking) from lacking

__all__ = [
    "CrewView",
    "Describer",
    "HandedOn",
    "Handler",
    "Memo",
    "NotRestorable",
    "Planner",
    "TaskView",
    "Texts",
    "UsageBefore",
    "UsageTracker",
    "akickoff",
    "all_handed_on",
    "as_if_first",
    "changed_file",
    "check_crew",
    "check_inputs",
    "check_process",
    "condition_says",
    "connects",
    "context_tasks",
    "copy_crew",
    "crew_llms",
    "facts",
    "file_text",
    "files_in",
    "fire_callbacks",
    "has_memory",
    "hints_about",
    "is_conditional",
    "is_crew_output",
    "joined",
    "kickoff",
    "live_task",
    "live_view",
    "model_name",
    "output_file",
    "output_of",
    "overridden",
    "own_view",
    "plan_texts",
    "planned_inputs",
    "planned_view",
    "prepared",
    "reads_all_before",
    "recorded_names",
    "refuse_checkpoint",
    "resolved_tools",
    "restore_file",
    "restore_output",
    "said_to",
    "says",
    "secret_inputs",
    "secrets_of",
    "secrets_of_error",
    "serve",
    "skipped_output",
    "store_output",
    "store_text",
    "take_up",
    "task_names",
    "upstreams",
    "uses_tools",
    "without_secrets",
]
