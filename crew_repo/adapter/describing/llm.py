"""The components of a language model: its name, parameters, endpoint and client. Keys and timeouts do not count."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from crewai import LLM
from crewai.llms.base_llm import BaseLLM
from crewai.utilities.llm_utils import create_llm
from pydantic import BaseModel

from crew_repo.adapter import private
from crew_repo.adapter.describing import field_table
from crew_repo.adapter.describing.components import Parts, crewais_names, is_crewais
from crew_repo.code import only_failing, written_at_work
from crew_repo.hashing import acting_headers, client_address, client_headers, endpoint, hangs_on_client, model_state
from crew_repo.secrets import is_secret
from crew_repo.time_limits import let_through

__all__ = ["add_llm"]

# The words of an environment variable that says which model answers, where and how, whatever else is in its name.
_ACTING_WORDS = {
    *("model", "engine", "deployment", "provider", "version", "api", "url", "uri", "base", "host", "endpoint"),
    *("region", "temperature", "seed", "tokens", "prompt", "system"),
}
# Of a variable without one of those, what says that it is a way to fail, a time, a load, a log, a proxy or a cache.
_PLUMBING_WORDS = {
    *("fail", "fails", "failing", "failure", "failures", "error", "errors", "raise", "raises", "crash", "crashes"),
    *("die", "dies", "kill", "kills", "exit", "abort", "boom", "explode", "break", "broken", "down", "outage"),
    *("hang", "hangs", "stall", "block", "interrupt", "cancel"),
    *("timeout", "timeouts", "retry", "retries", "attempts", "backoff", "delay", "sleep", "wait", "pause", "seconds"),
    *("secs", "ms", "millis", "interval", "deadline", "latency", "slow"),
    *("rpm", "rps", "qps", "tpm", "rate", "concurrency", "concurrent", "workers", "threads", "pool"),
    *("log", "logs", "logging", "logger", "logfile", "loglevel", "verbose", "verbosity", "debug", "quiet", "trace"),
    *("traces", "tracing", "telemetry", "metrics", "otel", "sentry", "call", "calls", "count", "counts", "counter"),
    *("proxy", "proxies", "cert", "certs", "ca", "ssl", "tls", "verify", "bundle"),
    *("cache", "caching", "tmp", "tmpdir", "home", "user"),
}
_OWN_PLUMBING = {"timeout", "max_retries", "retries", "stream", "callbacks", "verbose"}
_PLACE_WORDS = {"base", "url", "host", "endpoint", "region", "location", "version", "deployment", "project", "account"}
# Of LiteLLM's providers, those whose variables do not begin with their name.
_LITELLM_NAMES = {
    **dict.fromkeys(("BEDROCK", "BEDROCK_CONVERSE", "SAGEMAKER", "SAGEMAKER_CHAT"), ("AWS_",)),
    **dict.fromkeys(("VERTEX_AI", "VERTEX_AI_BETA"), ("VERTEX", "GOOGLE_")),
    **{"WATSONX": ("WX_",), "GITHUB_COPILOT": ("GITHUB_",), "TEXT-COMPLETION-OPENAI": ("OPENAI_",)},
    **{"GEMINI": ("GOOGLE_",), "TOGETHER_AI": ("TOGETHERAI_",), "FIREWORKS_AI": ("FIREWORKS_",)},
}
_ENDPOINTS = ("base_url", "api_base", "endpoint", "account_url")
# What LiteLLM asks, whatever an LLM was given, if somebody has set it for the whole process (`litellm.api_base = ...`).
_LITELLM_SETTINGS = (
    *("api_base", "api_version", "vertex_location", "vertex_project", "model_alias_map", "modify_params"),
    *("default_fallbacks", "context_window_fallbacks", "content_policy_fallbacks"),
)
# What CrewAI's executor adds to an LLM's stop words for the ReAct loop; it is not the user's.
_REACT_STOP = "\nObservation:"


def add_llm(parts: Parts, path: str, llm: object) -> None:
    """Every part of an LLM that acts on an answer, under `path`; described once, however many agents ask it."""
    if llm is not None:
        parts.extend(parts.memo.once(("llm", id(llm), path), llm, lambda own: _add_llm(own, path, llm)))


def _add_llm(parts: Parts, path: str, llm: object) -> None:
    if isinstance(llm, str):
        llm = _created(llm) or llm
    if isinstance(llm, str):
        parts.json(f"{path}.model", _model_name(llm, "openai"), keep=True)
    elif isinstance(llm, BaseLLM) and issubclass(type(llm), BaseLLM):  # a mock only says that it is one
        _add_native(parts, path, llm)
    else:
        parts.value(path, llm)


def _created(name: str) -> object | None:
    """The LLM object that CrewAI will make of a model's name, as far as the environment allows it."""
    try:
        created: object | None = create_llm(name)
    except Exception as error:  # noqa: BLE001 - a missing key or package: the kickoff itself will say so
        let_through(error)
        return None
    return created


def _model_name(model: str, provider: str) -> list[str]:
    """Provider and model: `gpt-4o` and `openai/gpt-4o` are the same."""
    head, slash, tail = model.partition("/")
    if slash and head.lower() == provider.lower():
        return [provider, tail]
    return [head, tail] if slash and not provider else [provider, model]


def _add_native(parts: Parts, path: str, llm: BaseLLM) -> None:
    parts.json(f"{path}.model", _model_name(str(llm.model), str(getattr(llm, "provider", "") or "")), keep=True)
    parts.fields(path, llm, field_table.LLM, skip=_own_fields(llm))
    stop = [word for word in llm.stop or [] if word != _REACT_STOP]
    if stop:
        parts.value(f"{path}.stop", sorted(stop), keep=True)
    _add_response_format(parts, path, getattr(llm, "response_format", None))
    _add_parameters(parts, path, getattr(llm, "additional_params", None) or {})
    _add_client(parts, path, llm)
    if not is_crewais(type(llm)):
        _add_custom(parts, path, llm)


def _add_parameters(parts: Parts, path: str, given: Mapping[str, Any]) -> None:
    for name, value in given.items():
        if "header" in name.lower():
            _add_headers(parts, f"{path}.{name}", value)
        elif not _is_plumbing(name, value):
            parts.value(f"{path}.{name}", value)


def _add_headers(parts: Parts, path: str, headers: object) -> None:
    """Add the headers that may choose the model, as gateways let them."""
    said = acting_headers(headers)
    if said:
        parts.value(path, said)


def _is_plumbing(name: str, value: object) -> bool:
    identity = name.startswith("aws_") and not _PLACE_WORDS & set(name.split("_"))
    plumbing = field_table.LLM.get(name) is field_table.Kind.PLUMBING or name in _ENDPOINTS or identity
    return plumbing or is_secret(name, value)


def _add_client(parts: Parts, path: str, llm: BaseLLM) -> None:
    """Where the LLM asks and what its clients add, by the clients that it has; what of the user's hangs on those.

    A native async run asks through a client of its own, which differs where somebody has changed one of the two.
    LiteLLM has no client: of it, the environment variables and settings count that name an endpoint or a region.
    """
    given = dict(getattr(llm, "client_params", None) or {})
    clients = _clients(parts, llm)
    where = _addresses(llm, clients)
    if where:
        parts.json(f"{path}.endpoint", where if len(where) > 1 else where[0])
    headers: dict[str, str] = {}
    for said in (given.pop("default_headers", None), getattr(llm, "default_headers", None)):
        headers.update(acting_headers(said))
    for client in clients:
        headers.update(client_headers(client))
    _add_headers(parts, f"{path}.headers", headers)
    _add_parameters(parts, f"{path}.client_params", given)
    besides = [getattr(llm, "interceptor", None), *given.values()]
    for client, name in zip(clients, ("client", "async_client"), strict=False):
        _add_hanging(parts, f"{path}.{name}", client, besides)
    _add_hanging(parts, f"{path}.replaced", SimpleNamespace(**_replaced_methods(llm)), [])
    if isinstance(llm, LLM):
        _add_environment(parts, llm)


def _add_hanging(parts: Parts, path: str, client: object, besides: list[object]) -> None:
    """Add the user's code that hangs on a client, `besides` what counts by a name of its own."""
    try:
        hanging = hangs_on_client(client, besides)
    except ValueError as error:
        return parts.opaque(path, f"{type(client).__name__}: it {error}")
    return parts.value(path, [tuple(place) for place in hanging]) if hanging else None


def _addresses(llm: BaseLLM, clients: Sequence[object]) -> list[str]:
    """Where it asks: the addresses of its clients, and what its own class names beside them; else what it was given."""
    known = crewais_names(type(llm))
    built = [address for client in clients if (address := client_address(client))]
    given = [getattr(llm, name, None) for name in _ENDPOINTS if not built or name not in known]
    return list(dict.fromkeys([*built, *(endpoint(str(at), query=True) for at in given if at and _is_address(at))]))


def _is_address(value: object) -> bool:
    """Whether a value is a text or a URL of httpx, pydantic or yarl."""
    return isinstance(value, str) or type(value).__name__.lower().endswith("url")


def _replaced_methods(llm: BaseLLM) -> dict[str, object]:
    """The functions that somebody has put on the object in place of its class's methods: `llm.call = cached`."""
    others = {*type(llm).model_fields, private.usage_tracker_name()}  # a run puts the tracker there itself
    besides = {name: value for name, value in vars(llm).items() if name not in others}
    return {name: value for name, value in besides.items() if callable(getattr(type(llm), name, None))}


def _clients(parts: Parts, llm: BaseLLM) -> list[object]:
    """The clients of CrewAI's own making, the synchronous one first; one of the user's is a part like others."""
    if "_client" not in crewais_names(type(llm)):
        return []
    made = private.model_client(llm) or parts.memo.client(llm, private.made_model_client)
    return [made, private.async_model_client(llm)]


def _add_environment(parts: Parts, llm: BaseLLM) -> None:
    """Add what LiteLLM reads beside an LLM: its own settings, and variables by the provider (OLLAMA_API_BASE)."""
    settings = vars(sys.modules.get("litellm", object))
    for name in _LITELLM_SETTINGS:
        if value := settings.get(name):
            parts.value(f"litellm.{name}", endpoint(str(value), query=True) if name == "api_base" else value)
    prefix, slash, _ = llm.model.partition("/")
    provider = (prefix if slash else str(llm.provider)).upper()
    prefixes = (provider, *_LITELLM_NAMES.get(provider, ()))
    for name, value in sorted(os.environ.items()):
        acts = name.startswith(prefixes) and _PLACE_WORDS & set(name.lower().split("_"))
        if acts and not is_secret(name, value):
            parts.value(f"environment:{name}", endpoint(value, query=True) if "://" in value else value)


def _add_response_format(parts: Parts, path: str, response_format: Any) -> None:
    if isinstance(response_format, type) and issubclass(response_format, BaseModel):
        parts.schema(f"{path}.response_format", response_format)
    elif response_format is not None:
        parts.value(f"{path}.response_format", response_format, keep=True)


def _own_fields(llm: BaseLLM) -> set[str]:
    """The fields that the user's own class declares: `_add_custom` has them."""
    return type(llm).model_fields.keys() - crewais_names(type(llm))


def _add_custom(parts: Parts, path: str, llm: BaseLLM) -> None:
    """The user's own LLM class: its source, and its own fields, but not what it writes as it answers.

    A count of its calls, a log, a queue of scripted answers or a connection is no parameter that it is asked with, nor
    is a switch that only lets it fail; what its other methods write (`configure`) is. Of the environment all that it
    reads acts, but for keys, and for what its name says to be about failures, times, logs or the network.
    """
    own = Parts(parts.memo)
    _add_code(own, path, llm)
    parts.extend(own.definition(), skip=_is_plumbing_variable)


def _is_plumbing_variable(path: str) -> bool:
    kind, _, name = path.partition(":")
    words = set(name.lower().split("_"))
    return kind == "environment" and not words & _ACTING_WORDS and bool(words & _PLUMBING_WORDS)


def _add_code(parts: Parts, path: str, llm: BaseLLM) -> None:
    parts.model_class(f"{path}.source", type(llm))
    known = crewais_names(type(llm))
    values = model_state(llm)
    own = {name for name in values if not _is_inherited(name, known) and not _is_own_plumbing(name, values[name])}
    for name in sorted(values.keys() - own):
        if is_secret(name, values[name]):
            parts.signer(f"{path}.{name}", values[name])
    for name in sorted(own - written_at_work(type(llm)) - only_failing(type(llm))):
        are_headers = name.endswith("headers") and isinstance(values[name], (Mapping, list, tuple, str))
        value = acting_headers(values[name]) if are_headers else values[name]
        parts.member(f"{path}.{name}", value, llm)


def _is_own_plumbing(name: str, value: object) -> bool:
    """Whether a name is plumbing of a user's own class, whose other names are its own: `model_id` may well act."""
    return name in _OWN_PLUMBING or (name in _ENDPOINTS and _is_address(value)) or is_secret(name, value)


def _is_inherited(name: str, known: Collection[str]) -> bool:
    return name in known or callable(getattr(BaseLLM, name, None))
