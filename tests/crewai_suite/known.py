"""What is run of CrewAI's tests, and where a test may end differently through a StateRepository, with the reason."""

from __future__ import annotations

__all__ = ["FILES", "KNOWN"]

# Every file in which a crew is kicked off with what the package `crewai` alone installs.
FILES = (
    "tests/test_crew.py",
    "tests/crew/test_async_crew.py",
    "tests/test_task.py",
    "tests/test_streaming.py",
    "tests/test_streaming_integration.py",
    "tests/test_project.py",
    "tests/test_crew_thread_safety.py",
    "tests/test_custom_llm.py",
    "tests/test_execution_uuid.py",
    "tests/test_tool_cache_default.py",
    "tests/test_usage_shape_parity.py",
    "tests/test_checkpoint.py",
    "tests/agents/test_agent.py",
    "tests/agents/test_native_tool_calling.py",
    "tests/events/test_event_ordering.py",
    "tests/hooks/test_deny_reaches_the_caller.py",
    "tests/hooks/test_interception_conformance.py",
    "tests/hooks/test_tool_hooks.py",
    "tests/telemetry/test_execution_span_assignment.py",
    "tests/telemetry/test_flow_crew_span_integration.py",
    "tests/telemetry/test_telemetry.py",
    "tests/telemetry/test_trace_lifecycle.py",
    "tests/tools/test_base_tool.py",
    "tests/tools/test_structured_tool.py",
    "tests/tools/test_tool_failure.py",
    "tests/utilities/test_events.py",
    "tests/utilities/test_prompts_no_thought_leakage.py",
    "tests/utilities/test_summarize_integration.py",
)

_SERVED = "its second kickoff has the same inputs and is served: no worker is asked again"
_EVERY_KICKOFF = "tests/test_crew.py::test_hierarchical_crew_delegates_to_workers_on_every_kickoff"

KNOWN: dict[str, str] = {
    **{f"{_EVERY_KICKOFF}[manager_{manager}-{way}]": _SERVED for manager in ("llm", "agent") for way in ("sync", "async")},
    "tests/test_crew.py::test_crew_train_success": "the plugin sends a training's repeated kickoffs through one file, "
    "where they are served; `attach` leaves train() and test() to CrewAI",
    "tests/test_crew.py::test_async_task_execution_call_count": "it calls kickoff() while an event loop runs, which would "
    "be blocked: a repository asks for `arun`, or `kickoff_async` of an attached crew",
    "tests/test_crew.py::test_hierarchical_kickoff_usage_metrics_include_manager": "its counters stand still, and what a "
    "run spent is what they went up by",
    "tests/test_crew_thread_safety.py::TestCrewThreadSafety::test_concurrent_kickoff_for_each": "no task names the input "
    "that differs, so two of three kickoffs are served, and callbacks are not called for what is served",
}
