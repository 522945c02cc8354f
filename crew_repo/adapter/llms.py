"""The components of a language model: what it is asked with, never what it is asked as (keys, headers, time-outs)."""

from __future__ import annotations

import os
from typing import Any

from crewai.llms.base_llm import BaseLLM
from crewai.utilities.llm_utils import create_llm
from pydantic import BaseModel

from crew_repo.adapter import fields
from crew_repo.adapter.parts import Parts, crewais_names, endpoint, is_crewais
from crew_repo.hashing import is_secret, model_state, only_failing, written_at_work

__all__ = ["add_llm"]

_ACTING_WORDS = {
    *("model", "engine", "deployment", "provider", "version", "api", "url", "uri", "base", "host", "endpoint"),
    *("region", "temperature", "seed", "tokens", "prompt", "system"),
}
_OWN_PLUMBING = {"timeout", "max_retries", "retries", "stream", "callbacks", "interceptor", "verbose"}
_ENDPOINTS = ("base_url", "api_base", "endpoint", "account_url")
# What CrewAI's executor adds to an LLM's stop words for the ReAct loop; it is not the user's.
_REACT_STOP = "\nObservation:"


def add_llm(parts: Parts, path: str, llm: object) -> None:
    """Every part of an LLM that acts on an answer, under `path`."""
    if llm is None:
        return
    if isinstance(llm, str):
        llm = _created(llm) or llm
    if isinstance(llm, str):
        parts.json(f"{path}.model", _model_name(llm, "openai"))
    elif isinstance(llm, BaseLLM) and issubclass(type(llm), BaseLLM):  # a mock only says that it is one
        _add_native(parts, path, llm)
    else:
        parts.value(path, llm)


def _created(name: str) -> object | None:
    """The LLM object that CrewAI will make of a model's name, as far as the environment allows it."""
    try:
        created: object | None = create_llm(name)
    except Exception:  # noqa: BLE001 - a missing key or package: the kickoff itself will say so
        return None
    return created


def _model_name(model: str, provider: str) -> list[str]:
    """Provider and model: `gpt-4o` and `openai/gpt-4o` are the same."""
    head, slash, tail = model.partition("/")
    if slash and head.lower() == provider.lower():
        return [provider, tail]
    return [head, tail] if slash and not provider else [provider, model]


def _add_native(parts: Parts, path: str, llm: BaseLLM) -> None:
    parts.json(f"{path}.model", _model_name(str(llm.model), str(getattr(llm, "provider", "") or "")))
    parts.fields(path, llm, fields.LLM, skip=_own_fields(llm))
    stop = [word for word in llm.stop or [] if word != _REACT_STOP]
    if stop:
        parts.value(f"{path}.stop", sorted(stop))
    _add_endpoint(parts, path, llm)
    _add_response_format(parts, path, getattr(llm, "response_format", None))
    for name, value in (getattr(llm, "additional_params", None) or {}).items():
        if not _is_plumbing(name, value):
            parts.value(f"{path}.{name}", value)
    if not is_crewais(type(llm)):
        _add_custom(parts, path, llm)


def _is_plumbing(name: str, value: object) -> bool:
    plumbing = fields.LLM.get(name) is fields.Kind.PLUMBING or name in _ENDPOINTS or name.startswith("aws_")
    return plumbing or is_secret(name, value) or "header" in name.lower()


def _add_endpoint(parts: Parts, path: str, llm: BaseLLM) -> None:
    given = [str(getattr(llm, name)) for name in _ENDPOINTS if getattr(llm, name, None)]
    if not given and getattr(llm, "provider", "") == "openai" and is_crewais(type(llm)):
        given = [value for name in ("OPENAI_BASE_URL", "OPENAI_API_BASE") if (value := os.environ.get(name))]
    if given:
        parts.json(f"{path}.endpoint", endpoint(given[0]))


def _add_response_format(parts: Parts, path: str, response_format: Any) -> None:
    if isinstance(response_format, type) and issubclass(response_format, BaseModel):
        parts.schema(f"{path}.response_format", response_format)
    elif response_format is not None:
        parts.value(f"{path}.response_format", response_format)


def _own_fields(llm: BaseLLM) -> set[str]:
    """The fields that the user's own class declares: `_add_custom` has them."""
    return type(llm).model_fields.keys() - crewais_names(type(llm))


def _add_custom(parts: Parts, path: str, llm: BaseLLM) -> None:
    """The user's own LLM class: its source, and its own fields, but not what it writes as it answers.

    A count of its calls, a log, a queue of scripted answers or a connection is no parameter that it is asked with, nor
    is a switch that only lets it fail; what its other methods write (`configure`) is. Of the environment it reads keys,
    proxies, log files and switches, as CrewAI's own LLMs do; only what says by its name which model answers, where and
    how, acts.
    """
    own = Parts(parts.memo)
    _add_code(own, path, llm)
    parts.extend(own.definition(), skip=_is_plumbing_variable)


def _is_plumbing_variable(path: str) -> bool:
    kind, _, name = path.partition(":")
    return kind == "environment" and not _ACTING_WORDS & set(name.lower().split("_"))


def _add_code(parts: Parts, path: str, llm: BaseLLM) -> None:
    parts.model_class(f"{path}.source", type(llm))
    known = set(type(llm).model_fields) - _own_fields(llm)
    values = model_state(llm)
    own = {name for name in values if not _is_inherited(name, known) and not _is_own_plumbing(name, values[name])}
    for name in sorted(own - written_at_work(type(llm)) - only_failing(type(llm))):
        parts.member(f"{path}.{name}", values[name])


def _is_own_plumbing(name: str, value: object) -> bool:
    """Of a user's own class, whose other names are its own: `model_id` and `role` may well act."""
    return name in _OWN_PLUMBING or name in _ENDPOINTS or is_secret(name, value) or name.endswith("headers")


def _is_inherited(name: str, known: set[str]) -> bool:
    return name in known or name in BaseLLM.__private_attributes__ or callable(getattr(BaseLLM, name, None))
