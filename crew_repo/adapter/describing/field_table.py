"""Tables of what each field of CrewAI's models means for a task's answer. One per class; nothing else decides.

- TEXT: prompt text, hashed as CrewAI will send it, and kept so that a diff can show it.
- VALUE: hashed where it differs from the field's default, so that a new field of a new CrewAI changes nothing
  until somebody sets it.
- OWN: something richer; `task`, `agent`, `llm`, `tool` and `knowledge` have code for it.
- PLUMBING: identity, counters, callbacks, secrets; it reaches no model.

A field that no table names is treated as VALUE: a needless execution is better than a wrong answer. The oracle
test fails for it, so that somebody decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

__all__ = ["AGENT", "CREW", "LLM", "TASK", "TOOL", "Kind", "kind_of"]


class Kind(Enum):
    """The meaning of a field."""

    TEXT = "text"
    VALUE = "value"
    OWN = "own"
    PLUMBING = "plumbing"


def _table(**kinds: str) -> dict[str, Kind]:
    return {name: Kind[kind.upper()] for kind, names in kinds.items() for name in names.split()}


TASK = _table(
    text="description expected_output",
    value="markdown human_input tool_failure_policy",
    own="""agent context output_json output_pydantic response_model converter_cls tools input_files guardrail
        guardrails guardrail_max_retries allow_crewai_trigger_context condition i18n""",
    plumbing="""used_tools tools_errors delegations name prompt_context config callback async_execution output_file
        create_directory output security_config id processed_by_agents max_retries retry_count start_time end_time
        checkpoint_original_description checkpoint_original_expected_output""",
)

AGENT = _table(
    text="role goal backstory system_template prompt_template response_template",
    value="""use_system_prompt max_iter max_tokens max_execution_time max_retry_limit respect_context_window
        use_better_compaction allow_delegation multimodal allow_code_execution code_execution_mode
        planning reasoning max_reasoning_attempts tool_failure_policy
        adapted_agent knowledge_config""",
    own="""llm function_calling_llm tools apps mcps a2a inject_date date_format guardrail guardrail_max_retries
        executor_class knowledge_sources knowledge planning_config embedder memory skills from_repository i18n""",
    plumbing="""entity_type id config cache verbose max_rpm agent_executor crew cache_handler tools_handler
        tools_results knowledge_storage security_config checkpoint callbacks execution_context
        checkpoint_kickoff_event_id step_callback agent_knowledge_context crew_knowledge_context
        knowledge_search_query""",
)

CREW = _table(
    value="tool_failure_policy",
    own="""tasks agents process memory embedder manager_llm manager_agent function_calling_llm planning planning_llm
        prompt_file trained_agents_file knowledge_sources knowledge skills""",
    plumbing="""entity_type name cache verbose usage_metrics config id share_crew step_callback task_callback
        before_kickoff_callbacks after_kickoff_callbacks stream max_rpm output_log_file
        task_execution_output_json_files execution_logs chat_llm security_config checkpoint token_usage
        tracing execution_context checkpoint_inputs checkpoint_train checkpoint_kickoff_event_id""",
)

LLM = _table(
    value="""temperature top_p top_k max_tokens max_completion_tokens max_output_tokens seed frequency_penalty
        presence_penalty n logit_bias logprobs top_logprobs reasoning_effort thinking thinking_config tool_search
        safety_settings tools supports_tools instructions store previous_response_id include builtin_tools
        parse_tool_outputs auto_chain auto_chain_reasoning api api_version context_window_size guardrail_config
        additional_model_request_fields additional_model_response_field_paths location database schema_name
        warehouse use_vertexai default_query interceptor region_name""",
    own="""model provider stop additional_params client_params default_headers response_format base_url api_base
        endpoint account_url""",
    plumbing="""llm_type api_key stream timeout max_retries organization project callbacks is_litellm prefer_upload
        custom_openai is_o1_model is_gpt4_model is_claude_3 is_claude_model is_anthropic is_gemini_2_0 is_openai_model
        is_azure_openai_endpoint supports_streaming model_id aws_access_key_id aws_secret_access_key
        aws_session_token credential_scopes account_identifier role completion_cost""",
)

TOOL = _table(
    text="name description",
    value="result_as_answer max_usage_count tool_failure_policy",
    own="args_schema result_schema func",
    plumbing="env_vars description_updated cache_function current_usage_count tool_type",
)


def kind_of(table: Mapping[str, Kind], field: str) -> Kind:
    """Look a field up; one that nobody has decided about is a VALUE."""
    return table.get(field, Kind.VALUE)
