"""Reading code objects: their canonical form, and the global names that they load."""

from __future__ import annotations

import dis
import sys
from collections.abc import Iterator
from types import CodeType
from typing import Any

from crew_repo.canonical import SCALARS, Encoded, canonical
from crew_repo.code.imports import Import

__all__ = [
    "Chain",
    "encode_code",
    "global_chains",
    "local_imports",
    "nested_codes",
    "reads_docstring",
]

Chain = tuple[str, ...]

_GLOBAL_LOADS = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"})
_ATTRIBUTE_LOADS = frozenset({"LOAD_ATTR", "LOAD_METHOD"})
_PADDING = frozenset({"PUSH_NULL", "NOP", "CACHE", "EXTENDED_ARG"})


def encode_code(code: CodeType) -> Encoded:
    """Encode what a code object does, without where it stands; it holds for one minor version of Python."""
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    return [
        "code",
        f"{sys.implementation.name} {sys.version_info[0]}.{sys.version_info[1]}",
        code.co_name,
        code.co_code.hex(),
        getattr(code, "co_exceptiontable", b"").hex(),
        ["counts", *counts],
        *(["names", *map(SCALARS[str], some)] for some in names),
        ["constants", *map(_constant, code.co_consts)],
    ]


def _constant(value: Any) -> Encoded:
    if isinstance(value, CodeType):
        return encode_code(value)
    if isinstance(value, tuple):
        return ["tuple", *map(_constant, value)]
    if isinstance(value, frozenset):
        return ["set", *sorted(map(_constant, value), key=canonical)]
    return SCALARS[type(value)](value)


def nested_codes(code: CodeType) -> Iterator[CodeType]:
    """A code object, and those of the functions, classes and comprehensions in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from nested_codes(constant)


def reads_docstring(code: CodeType) -> bool:
    """Whether `__doc__` is read in it, so that a docstring acts."""
    return any("__doc__" in some.co_names for some in nested_codes(code))


def global_chains(code: CodeType) -> tuple[Chain, ...]:
    """The global names that the code loads, each with the attributes read from it: ("helpers", "RATE")."""
    return tuple(sorted({chain for some in nested_codes(code) for chain in _chains(some)}))


def _chains(code: CodeType) -> Iterator[Chain]:
    chain: Chain = ()
    for instruction in dis.get_instructions(code):
        if instruction.opname in _ATTRIBUTE_LOADS and chain:
            chain = (*chain, instruction.argval)
        elif instruction.opname not in _PADDING:
            if chain:
                yield chain
            chain = (instruction.argval,) if instruction.opname in _GLOBAL_LOADS else ()
    if chain:
        yield chain


def local_imports(code: CodeType) -> tuple[Import, ...]:
    """The import statements in the code."""
    found = (statement for some in nested_codes(code) for statement in _import_statements(some))
    return tuple(sorted(set(found)))


def _import_statements(code: CodeType) -> Iterator[Import]:
    instructions = [some for some in dis.get_instructions(code) if some.opname not in _PADDING]
    for index, instruction in enumerate(instructions):
        if instruction.opname == "IMPORT_NAME":
            level, names = instructions[index - 2].argval, instructions[index - 1].argval
            yield Import(level, instruction.argval, tuple(names or ()))
