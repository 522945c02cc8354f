"""Asides: what code says that acts only if other code in the same walk asks for it.

A docstring says nothing to a program, unless one reads docstrings: to print a help text, or to make a schema for a
model. A text may be the name of a variable of the environment, if there is code that looks up variables by names which
it is given. Nobody can tell which, so all docstrings count then, and all variables that are named.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from types import CodeType
from typing import Any

from crew_repo.canonical import Encoded, encode_text
from crew_repo.code.bytecode import nested_codes
from crew_repo.code.environment import variables_meant, variables_said
from crew_repo.code.module_files import ModuleSaid
from crew_repo.code.source import once_per_code

__all__ = [
    "ASKS_VARIABLES",
    "Aside",
    "asides_of",
    "asides_of_module",
    "docstring",
    "spoken",
    "variables",
    "with_docstrings",
]

Aside = tuple[str, ...]

ASKS_VARIABLES: Aside = ("asks for variables",)
_READS_DOCSTRINGS: Aside = ("reads docstrings",)
_READERS = frozenset(
    {
        *("__doc__", "getdoc", "getsource", "model_json_schema", "json_schema", "schema", "schema_json"),
        *("response_model", "response_format", "with_structured_output", "get_format_instructions"),
        *("render_doc", "convert_to_openai_tool", "convert_to_openai_function", "pydantic_function_tool"),
    }
)
# A program that is started has the variables, and its command may name some.
_STARTERS = frozenset(
    {
        *("subprocess", "Popen", "check_output", "check_call", "getoutput", "getstatusoutput", "system", "popen"),
        *("create_subprocess_exec", "create_subprocess_shell"),
    }
)
_NAMED = re.compile(r"[${]{1,2}(\w+)")  # of a shell, and of `format_map`


@once_per_code
def asides_of(code: CodeType, _: Mapping[str, Any]) -> frozenset[Aside]:
    """The texts in a function's code, and whether it reads docstrings: by an attribute, or a library's parameter."""
    return frozenset(_asides_of(code))


def asides_of_module(said: ModuleSaid) -> Iterator[Aside]:
    """Give the asides of a module whose file is read."""
    yield from _asides(said.names, said.texts)
    yield from (("docstring", f"{said.module}.{name}", text) for name, text in said.docstrings)
    if said.asks:
        yield ASKS_VARIABLES


def _asides_of(code: CodeType) -> Iterator[Aside]:
    for some in nested_codes(code):
        names = {name for held in some.co_consts if isinstance(held, (tuple, frozenset)) for name in held}
        yield from _asides((*some.co_names, *names), {*some.co_consts, *names})


def _asides(names: Iterable[object], said: Collection[object]) -> Iterator[Aside]:
    if not _READERS.isdisjoint(names) or "__doc__" in said:
        yield _READS_DOCSTRINGS
    if not _STARTERS.isdisjoint(names):
        yield ASKS_VARIABLES
    for text in (some.decode(errors="replace") if type(some) is bytes else some for some in said):
        if type(text) is str:
            yield from map(spoken, (text, *_NAMED.findall(text)))


def spoken(text: str) -> Aside:
    """A text that may name a variable."""
    return "text", text


def docstring(code: object) -> Iterator[Aside]:
    """That of a function or of a class; a dataclass without one has its parameters there."""
    text = vars(code).get("__doc__") if isinstance(code, type) else getattr(code, "__doc__", None)
    made = f"{getattr(code, '__name__', '')}(" if "__dataclass_fields__" in vars(code) else None
    if isinstance(text, str) and text and not (made and text.startswith(made)):
        yield "docstring", str(getattr(code, "__qualname__", "")), text


def with_docstrings(encoded: Encoded, asides: Collection[Aside]) -> Encoded:
    """The encoding of a walk with all docstrings in it, if something in it reads docstrings."""
    if _READS_DOCSTRINGS not in asides:
        return encoded
    found = sorted(aside for aside in asides if aside[0] == "docstring")
    return [encoded, ["docstrings", *(list(map(encode_text, aside)) for aside in found)]]


def variables(asides: Collection[Aside]) -> dict[str, str]:
    """The variables that are named anywhere in the walk, by their hashes, if something asks for any."""
    if ASKS_VARIABLES not in asides:
        return {}
    return variables_said(variables_meant({aside[1] for aside in asides if aside[0] == "text"}))
