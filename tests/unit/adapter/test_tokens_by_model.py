"""Tokens by model: which of a provider's counts are within which other, by what CrewAI itself makes of its answers."""

from __future__ import annotations

import ast
import textwrap
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import crewai
import pytest
from crewai.llms.base_llm import BaseLLM
from crewai.llms.providers.openai.completion import OpenAICompletion
from crewai.types.usage_metrics import UsageMetrics

from crew_repo.adapter import UsageTracker, private
from crew_repo.model import ModelTokens
from tests.models import PromptModel

COUNTS_WRITTEN = "cache_creation_tokens" in UsageMetrics.model_fields  # CrewAI 1.13 does not
PROVIDERS = Path(crewai.__file__).parent / "llms" / "providers"


def method_of(provider: str, name: str) -> Any:
    """A method of CrewAI's class for a provider whose library is not installed, as it stands in its source."""
    source = (PROVIDERS / provider / "completion.py").read_text(encoding="utf-8")
    found = next(node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef) and node.name == name)
    found.returns, found.decorator_list = None, []
    for argument in found.args.args:
        argument.annotation = None
    names: dict[str, Any] = {"Any": Any, "_coerce_int": lambda value: int(value or 0)}
    exec(textwrap.dedent(ast.unparse(found)), names)
    return names[name]


def anthropic(extract: Any) -> BaseLLM:
    members = {"_extract_anthropic_token_usage": staticmethod(extract), "__module__": __name__}
    return type("AnthropicCompletion", (PromptModel,), members)(model="claude")


def bedrock() -> BaseLLM:
    members = {"_track_token_usage_internal": method_of("bedrock", "_track_token_usage_internal"),
               "__module__": "crewai.llms.providers.bedrock.completion"}  # fmt: skip
    return type("BedrockCompletion", (PromptModel,), members)(model="nova")


def before_it_added_up(response: Any) -> dict[str, Any]:
    """Anthropic's counts as CrewAI 1.14.7 has them."""
    usage = response.usage
    return {
        "input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens, "cached_prompt_tokens": usage.cache_read_input_tokens,
        "cache_creation_tokens": usage.cache_creation_input_tokens,
    }  # fmt: skip


def tokens(llm: BaseLLM, counted: Any) -> tuple[ModelTokens, ...]:
    """What one call that is counted so has spent, by model."""
    tracker = UsageTracker([llm])
    tracker.start()
    llm._track_token_usage_internal(counted)
    tracker.stop()
    return tracker.spent().by_model


ANSWER = SimpleNamespace(usage=SimpleNamespace(
    input_tokens=100, output_tokens=7, cache_read_input_tokens=40, cache_creation_input_tokens=20
))  # fmt: skip


@pytest.mark.parametrize("how", ["installed", "before it added up"])
def test_anthropic(how: str):
    """Its input tokens are those beside the cache, whether CrewAI adds them up or not."""
    extract = before_it_added_up if how != "installed" else method_of("anthropic", "_extract_anthropic_token_usage")
    written = 20 if COUNTS_WRITTEN else 0
    assert tokens(anthropic(extract), extract(ANSWER)) == (ModelTokens("claude", 100, 40, written, 7),)


def test_bedrock():
    """Its input tokens are those beside the cache; what else its total has is of no kind, and so has no price."""
    counted = {"inputTokens": 100, "outputTokens": 7, "totalTokens": 167, "cacheReadInputTokens": 40}
    cached = 40 if COUNTS_WRITTEN else 0  # CrewAI 1.13 does not count Bedrock's
    assert tokens(bedrock(), counted) == (ModelTokens("nova", 100, cached, 0, 7),)
    assert tokens(bedrock(), {"inputTokens": 9, "outputTokens": 1, "totalTokens": 10}) == (ModelTokens("nova", 9, 0, 0, 1),)


def test_openai():
    """Its prompt tokens include the cached ones."""
    llm = OpenAICompletion(model="gpt-4o", api_key="none")
    usage = SimpleNamespace(
        prompt_tokens=100, completion_tokens=7, total_tokens=107, prompt_tokens_details=SimpleNamespace(cached_tokens=40),
        completion_tokens_details=None,
    )  # fmt: skip
    counted = llm._extract_openai_token_usage(SimpleNamespace(usage=usage))
    assert tokens(llm, counted) == (ModelTokens("gpt-4o", 60, 40, 0, 7),)


def test_a_model_of_ones_own():
    """Whoever counts as OpenAI does is understood; nothing is known of one without a name."""
    counted = {"prompt_tokens": 100, "cached_prompt_tokens": 40, "completion_tokens": 7}
    assert tokens(PromptModel(model="m"), counted) == (ModelTokens("m", 60, 40, 0, 7),)
    assert not private.cached_apart(PromptModel(model="m"))
    assert not private.cached_apart(object())
