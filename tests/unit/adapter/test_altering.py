"""Which callbacks and hooks alter what they are given, however it comes to the line that does, and which only look."""

from __future__ import annotations

import asyncio
import builtins
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest

from crew_repo.code import alters

SEEN: list[Any] = []
POOL = ThreadPoolExecutor(1)


def edit(output: Any) -> None:
    output.raw = "edited"


def see(output: Any) -> None:
    SEEN.append(output.raw)


def put(held: Any) -> None:
    held[0].raw = "edited"


def edit_any(*args: Any) -> None:
    args[0].raw = "edited"


def edit_second(_: Any, output: Any) -> None:
    output.raw = "edited"


def edit_named(*, output: Any) -> None:
    output.raw = "edited"


def same(output: Any) -> Any:
    return output


def apply(function: Any, output: Any) -> None:
    function(output)


EDITS = [see, edit]
NESTED = {"early": [see], "late": [edit]}
setting = setattr


class Editor:
    def edit(self, output: Any) -> None:
        output.raw = "edited"

    @staticmethod
    def edit_too(output: Any) -> None:
        output.raw = "edited"

    @classmethod
    def edit_as_well(cls, output: Any) -> None:
        output.raw = "edited"

    def see(self, output: Any) -> None:
        SEEN.append(output)


class Base:
    def strip(self, output: Any) -> None:
        output.raw = "edited"


class Calling(Base):
    """One that edits by a method of its own, inherited, or of what it holds."""

    def __init__(self, way: str) -> None:
        self.way = way
        self.editor = Editor()
        self.editors = [Editor()]
        self.steps = [self.strip]
        self.count = 0

    def __call__(self, output: Any) -> None:
        getattr(self, self.way)(output)

    def by_method(self, output: Any) -> None:
        self.strip(output)

    def by_field(self, output: Any) -> None:
        self.editor.edit(output)

    def by_static(self, output: Any) -> None:
        self.editor.edit_too(output)
        self.count += 1

    def by_class(self, output: Any) -> None:
        self.editor.edit_as_well(output)

    def by_items(self, output: Any) -> None:
        for editor in self.editors:
            editor.edit(output)

    def by_steps(self, output: Any) -> None:
        for step in self.steps:
            step(output)

    def by_name(self, output: Any) -> None:
        getattr(self, "strip")(output)  # noqa: B009

    def by_super(self, output: Any) -> None:
        super().strip(output)


class Inherited(Base):
    def __call__(self, output: Any) -> None:
        self.strip(output)


class Fixer:
    def __init__(self, output: Any) -> None:
        self.output = output

    def fix(self) -> None:
        self.output.raw = "edited"


def each_of_a_list(output: Any) -> None:
    for function in EDITS:
        function(output)


def one_of_a_table(output: Any) -> None:
    NESTED[output.name][0](output)


def any_arguments(*args: Any) -> None:
    edit_any(*args)


def first_of_any(*args: Any) -> None:
    args[0].raw = "edited"


def any_arguments_to_a_second(*args: Any) -> None:
    edit_second(*args)


def any_names(**names: Any) -> None:
    edit_named(**names)


def by_name(output: Any) -> None:
    edit_named(output=output)


def in_a_list(output: Any) -> None:
    put([output])


def in_a_list_of_its_own(output: Any) -> None:
    held = [output]
    held[0].raw = "edited"


def in_a_loop(output: Any) -> None:
    for one in [output]:
        one.raw = "edited"


def in_a_comprehension(output: Any) -> None:
    [setattr(one, "raw", "edited") for one in [output]]


def by_a_choice(output: Any) -> None:
    chosen = output if output.raw else None
    chosen.raw = "edited"


def by_the_objects_own_setter(output: Any) -> None:
    output.__setattr__("raw", "edited")


def by_the_first_setter(output: Any) -> None:
    object.__setattr__(output, "raw", "edited")


def by_the_builtin_module(output: Any) -> None:
    builtins.setattr(output, "raw", "edited")  # noqa: B010


def by_another_name_of_setattr(output: Any) -> None:
    setting(output, "raw", "edited")


def by_starred_setattr(output: Any) -> None:
    setattr(*(output, "raw", "edited"))


def by_a_part_that_is_asked_for(output: Any) -> None:
    answer = getattr(output, "pydantic", None)
    answer.total = 1


def by_a_cast_part(output: Any) -> None:
    cast(Any, output.pydantic).total = 1


def by_what_is_given_back(output: Any) -> None:
    same(output).raw = "edited"


def by_a_function_that_is_handed(output: Any) -> None:
    apply(edit, output)


def by_a_nested_function(output: Any) -> None:
    def inner(it: Any) -> None:
        it.raw = "edited"

    inner(output)


def by_a_local_import(output: Any) -> None:
    from tests.unit.adapter.test_beside import edit_otherwise

    edit_otherwise(output)


def by_an_object_made_for_it(output: Any) -> None:
    Fixer(output).fix()


def by_an_object_made_here(output: Any) -> None:
    Editor().edit(output)


def by_a_pool(output: Any) -> None:
    POOL.submit(edit, output).result()


def by_a_map(output: Any) -> None:
    list(map(edit, [output]))


def by_partial(output: Any) -> None:
    functools.partial(edit, output)()


def by_a_pattern(output: Any) -> None:
    match output.pydantic:
        case object() as answer:
            answer.total = 1


def by_a_method_of_the_answer(output: Any) -> None:
    output.pydantic.round_all()


def by_a_partial_of_no_argument(output: Any) -> None:
    editing = functools.partial(edit)
    editing(output)


def by_a_map_of_a_partial(output: Any) -> None:
    list(map(functools.partial(edit_second, None), [output]))


async def awaited(output: Any) -> None:
    await asyncio.to_thread(edit, output)


def by_an_unknown(output: Any) -> None:
    (SEEN.pop() or edit)(output)


def wrapped(function: Callable[..., None]) -> Callable[..., None]:
    def call(*args: Any, **names: Any) -> None:
        function(*args, **names)

    return call


@functools.lru_cache
def cached(output: Any) -> None:
    output.raw = "edited"


def by_a_cached(output: Any) -> None:
    cached(output)


@pytest.mark.parametrize(
    "function",
    [
        *(each_of_a_list, one_of_a_table, any_arguments, any_arguments_to_a_second, any_names, by_name, first_of_any),
        *(in_a_list, in_a_list_of_its_own, in_a_loop, in_a_comprehension, by_a_choice, by_the_objects_own_setter),
        *(by_the_first_setter, by_the_builtin_module, by_another_name_of_setattr, by_starred_setattr, by_a_cast_part),
        *(by_a_part_that_is_asked_for, by_what_is_given_back, by_a_function_that_is_handed, by_a_nested_function),
        *(by_a_local_import, by_an_object_made_for_it, by_an_object_made_here, by_a_pool, by_a_map, by_partial, awaited),
        *(by_a_partial_of_no_argument, by_a_map_of_a_partial, by_a_pattern, by_a_method_of_the_answer),
        *(by_an_unknown, wrapped(edit), by_a_cached, Inherited(), functools.partial(edit_second, None)),
    ],
    ids=lambda function: getattr(function, "__name__", type(function).__name__),
)
def test_whoever_has_what_it_is_given_changed_alters_it(function: Any) -> None:
    """However it is handed on, and also where nobody can tell what it is handed to."""
    assert alters(function)


@pytest.mark.parametrize("way", [name for name in vars(Calling) if name.startswith("by_")])
@pytest.mark.parametrize("by_call", [False, True])
def test_whoever_has_it_changed_by_a_method_alters_it(way: str, by_call: bool) -> None:
    """By one of its own, of its base, or of what it holds."""
    calling = Calling(way)
    assert alters(calling if by_call else getattr(calling, way))
