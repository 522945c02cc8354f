"""The only code that imports crewai: it describes a crew, and steps in whenever CrewAI is about to execute a task."""

from __future__ import annotations

from crew_repo.adapter.supported import check_version, unsupported

check_version()
try:
    from crew_repo.adapter.crew_secrets import secret_inputs, secrets_of, secrets_of_error, without_secrets
    from crew_repo.adapter.crew_shape import (
        acting_agent,
        condition_says,
        crew_llms,
        is_conditional,
        joined,
        model_name,
        recorded_names,
        skipped_output,
        sources,
        task_names,
        upstreams,
    )
    from crew_repo.adapter.describing import nested_objects as nested_objects
    from crew_repo.adapter.describing.called import hash_of_model, hash_of_schema, hash_of_tool, look_of
    from crew_repo.adapter.describing.components import Memo
    from crew_repo.adapter.describing.files import changed_file
    from crew_repo.adapter.describing.moment import Moment
    from crew_repo.adapter.describing.patterns import unknown_tools, unmatched_patterns
    from crew_repo.adapter.describing.servers import connects, resolved_tools
    from crew_repo.adapter.describing.task import Describer, take_up
    from crew_repo.adapter.describing.tool import uses_tools
    from crew_repo.adapter.describing.working_objects import HandedOn, all_handed_on, leaving_state
    from crew_repo.adapter.hints import TaskLook, hints_about, looks_of
    from crew_repo.adapter.input_files import files_in
    from crew_repo.adapter.interpolation import (
        CrewView,
        TaskView,
        Texts,
        live_task,
        live_view,
        own_view,
        planned_view,
        said_to,
    )
    from crew_repo.adapter.kept_inputs import kept_inputs
    from crew_repo.adapter.private import crew_inputs
    from crew_repo.adapter.running.answers import is_typed, stored_answer
    from crew_repo.adapter.running.boundary import Handler, overridden
    from crew_repo.adapter.running.calls import journaled
    from crew_repo.adapter.running.conversations import Keeper, Question, tool_call_key
    from crew_repo.adapter.running.crew_copy import copy_crew, output_of
    from crew_repo.adapter.running.events import (
        TaskEvent,
        TaskFailed,
        TaskOverridden,
        TaskReused,
        TaskStale,
        emit,
        wait_for_listeners,
    )
    from crew_repo.adapter.running.isolation import as_if_first
    from crew_repo.adapter.running.kickoff import (
        UsageBefore,
        akickoff,
        check_crew,
        check_input_files,
        check_inputs,
        check_process,
        facts,
        has_memory,
        is_crew_output,
        kickoff,
        planned_inputs,
        prepared,
        refuse_checkpoint,
    )
    from crew_repo.adapter.running.outputs import restore_output, store_output, store_text
    from crew_repo.adapter.running.planner import Planner, plan_texts
    from crew_repo.adapter.running.reuse import file_text, fire_callbacks, output_file, restore_file, says, serve
    from crew_repo.adapter.running.tool_calls import is_named, is_remembered
    from crew_repo.adapter.running.usage import UsageTracker
except ImportError as lacking:
    raise unsupported(lacking) from lacking

__all__ = [
    "CrewView",
    "Describer",
    "HandedOn",
    "Handler",
    "Keeper",
    "Memo",
    "Moment",
    "Planner",
    "Question",
    "TaskEvent",
    "TaskFailed",
    "TaskLook",
    "TaskOverridden",
    "TaskReused",
    "TaskStale",
    "TaskView",
    "Texts",
    "UsageBefore",
    "UsageTracker",
    "acting_agent",
    "akickoff",
    "all_handed_on",
    "as_if_first",
    "changed_file",
    "check_crew",
    "check_input_files",
    "check_inputs",
    "check_process",
    "condition_says",
    "connects",
    "copy_crew",
    "crew_inputs",
    "crew_llms",
    "emit",
    "facts",
    "file_text",
    "files_in",
    "fire_callbacks",
    "has_memory",
    "hash_of_model",
    "hash_of_schema",
    "hash_of_tool",
    "hints_about",
    "is_conditional",
    "is_crew_output",
    "is_named",
    "is_remembered",
    "is_typed",
    "joined",
    "journaled",
    "kept_inputs",
    "kickoff",
    "leaving_state",
    "live_task",
    "live_view",
    "look_of",
    "looks_of",
    "model_name",
    "output_file",
    "output_of",
    "overridden",
    "own_view",
    "plan_texts",
    "planned_inputs",
    "planned_view",
    "prepared",
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
    "sources",
    "store_output",
    "store_text",
    "stored_answer",
    "take_up",
    "task_names",
    "tool_call_key",
    "unknown_tools",
    "unmatched_patterns",
    "upstreams",
    "uses_tools",
    "wait_for_listeners",
    "without_secrets",
]
