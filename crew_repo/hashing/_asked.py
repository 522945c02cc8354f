"""What code asks the process for by name: variables of the environment, and modules that it imports as it runs."""

from __future__ import annotations

import dis
import os
import re
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

from crew_repo.hashing._bytecode import ATTRIBUTE_LOADS, GLOBAL_LOADS, PADDING, Chain, nested_codes
from crew_repo.hashing._canonical import digest, private_digest
from crew_repo.hashing._imports import Import
from crew_repo.hashing._secret_forms import masked
from crew_repo.hashing._secret_names import is_secret
from crew_repo.hashing._secrets import hand_over_variable

__all__ = ["Asked", "asked_names", "environment_said", "modules_asked"]

Asked = tuple["str | Chain | None", ...]

_NAME_LOADS = GLOBAL_LOADS | {
    *("LOAD_FAST", "LOAD_FAST_BORROW", "LOAD_FAST_CHECK", "LOAD_DEREF", "STORE_FAST_LOAD_FAST"),
    *("LOAD_FAST_LOAD_FAST", "LOAD_FAST_BORROW_LOAD_FAST_BORROW"),
}
_ASKERS = {
    **dict.fromkeys(["getenv", "environ", "environ.get"], "environment"),
    **dict.fromkeys(["import_module", "__import__", "sys.modules"], "module"),
}
_WRITES = frozenset({"STORE_SUBSCR", "DELETE_SUBSCR"})


def asked_names(code: CodeType, kind: str) -> Asked:
    """What the code asks for by a name that it gives: variables of the `environment`, or each `module` it imports.

    A name is a text, a chain that leads to a global, or None where it is made at run time.
    """
    found = {name for some in nested_codes(code) for name in _asked(some, kind)}
    return tuple(sorted(found, key=repr))


def _asked(code: CodeType, kind: str) -> Iterator[str | Chain | None]:
    instructions = [some for some in dis.get_instructions(code) if some.opname not in PADDING]
    for index, instruction in enumerate(instructions):
        if instruction.opname in _NAME_LOADS:
            end, chain = _chain_at(instructions, index)
            if _ASKERS.get(chain[-1]) == kind or _ASKERS.get(".".join(chain[-2:])) == kind:
                yield from _argument(instructions, end)


def _chain_at(instructions: list[dis.Instruction], index: int) -> tuple[int, Chain]:
    """The names that are loaded one from another from here on, and where they end."""
    first = instructions[index].argval
    chain: Chain = (str(first[-1] if isinstance(first, tuple) else first),)
    index += 1
    while index < len(instructions) and instructions[index].opname in ATTRIBUTE_LOADS:
        chain = (*chain, instructions[index].argval)
        index += 1
    return index, chain


def _argument(instructions: list[dis.Instruction], index: int) -> Iterator[str | Chain | None]:
    """The first thing that is loaded after the asker."""
    following, then = (*instructions[index : index + 2], None, None)[:2]
    if following is None or (then is not None and then.opname in _WRITES):
        return
    if following.opname == "LOAD_CONST" and isinstance(following.argval, str):
        yield following.argval
    elif following.opname in GLOBAL_LOADS:
        yield _chain_at(instructions, index)[1]
    elif following.opname == "CONTAINS_OP":
        yield from _tested(instructions, index)
    else:
        yield None


def _tested(instructions: list[dis.Instruction], index: int) -> Iterator[str]:
    """`"NAME" in os.environ` loads its name before."""
    for instruction in reversed(instructions[:index]):
        if instruction.opname == "LOAD_CONST":
            if isinstance(instruction.argval, str):
                yield instruction.argval
            return


def environment_said(function: FunctionType, asked: Asked) -> dict[str, str]:
    """The variables that code reads, with the hash of what they say by now; each value is handed over as a secret.

    Secrets are left out, and so are variables whose names are made at run time.
    """
    names = {text for each in asked if (text := _text(function, each)) is not None}
    said = {name: os.environ.get(name) for name in names}
    for value in said.values():
        hand_over_variable(value or "")
    return {name: _hash_of_variable(name, value) for name, value in said.items() if not is_secret(name, value)}


def _hash_of_variable(name: str, value: str | None) -> str:
    """A variable's hash. Nobody knows whether its value is a secret after all, so it is a private one."""
    if value is None:
        return digest("variable", None)
    return private_digest("variable", masked(_without_user(value)), salt=name)


def modules_asked(function: FunctionType, asked: Asked) -> tuple[list[Import], bool]:
    """The modules that code imports by calls, and whether those are all: a name may be made at run time."""
    names = [_text(function, each) for each in asked]
    return [_as_import(name) for name in names if name is not None], None not in names


def _text(function: FunctionType, name: str | Chain | None) -> str | None:
    if isinstance(name, tuple):
        value: Any = function.__globals__.get(name[0])
        return value if isinstance(value, str) and len(name) == 1 else None
    return name


def _as_import(name: str) -> Import:
    stripped = name.lstrip(".")
    return Import(len(name) - len(stripped), stripped)


def _without_user(value: str) -> str:
    """A URL without the user and password in it."""
    return re.sub(r"(?<=://)[^/@\s?#]*@", "", value)
