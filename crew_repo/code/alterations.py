"""Code that is called beside the work, and whether it alters what it is given: a callback that edits an output, a hook.

One that only looks, and logs or counts, changes no answer. It may hand what it is given to libraries, and a text of it
to anybody; who hands it to code that cannot be found here is taken to alter it.
"""

from __future__ import annotations

import ast
import functools
import inspect
from collections.abc import Hashable, Iterator, Mapping, Sequence
from types import FunctionType, MethodType
from typing import Any

from crew_repo.code.bytecode import Chain
from crew_repo.code.callees import GIFT, UNCLEAR, Frame, Made, items_of, standing_for
from crew_repo.code.handing import ANY, PASSING_ON, Handing, Part, spread
from crew_repo.code.members import closure_of, functions_of, tree_of
from crew_repo.code.name_usage import GIVEN, READERS, usage
from crew_repo.code.ownership import is_own_class, is_own_function
from crew_repo.time_limits import faults

__all__ = ["alters"]

Given = Mapping[str, bool]  # names of what is given, each with whether it only holds that, as a list does
Arguments = Sequence[tuple[int | str, bool]]

# Texts and numbers among the members of what CrewAI hands to callbacks and hooks, and methods that make something new.
_PLAIN = frozenset(
    {
        *("raw", "name", "description", "expected_output", "summary", "output_format", "role", "goal", "backstory"),
        *("tool_name", "tool_result", "response", "iterations"),
        *("model_dump()", "model_dump_json()", "dict()", "json()"),
    }
)
# Methods that keep or log what they are given, whosever they are.
_KEEPING = frozenset(
    {
        *("append", "appendleft", "add", "extend", "insert", "put", "put_nowait", "setdefault", "update", "write"),
        *("debug", "info", "warning", "error", "exception", "critical", "log"),
    }
)
_GENERATING = ("__dataclass_fields__", "__attrs_attrs__", "_fields")  # of classes of which some methods have no source
_DEEPEST = 20  # calls through which an argument is followed: beyond, it may be changed
_SETTERS = (setattr, delattr, object.__setattr__, object.__delattr__)


def alters(value: object, *, by_answer: bool = False) -> bool:
    """Whether code of the user's changes what it is given, or, where that counts, answers with something.

    Code without source may. A library's does not, as far as anybody can tell.
    """
    search = _Search()
    with faults():  # an object's own code may raise anything, where it is asked what it holds
        return any(
            search.changes(frame, dict.fromkeys(given, False)) or (by_answer and _answers(frame.function))
            for frame, given in _called(value)
        )
    return True


def _called(value: Any) -> Iterator[tuple[Frame, list[str]]]:
    """The user's functions that a call comes to, also under wrappers, with the names of what they are given."""
    for function, known in _entries(value, {}):
        if is_own_function(function.__code__, function.__globals__):
            yield Frame(function, known), [name for name in _parameters(function) if name not in known]
        for _, held in closure_of(function):
            if isinstance(held, (FunctionType, MethodType)):
                yield from _called(held)


def _entries(value: Any, known: Mapping[str, Any], bound: tuple[Any, ...] = ()) -> Iterator[tuple[Any, dict[str, Any]]]:
    """The function that a call comes to, with the parameters that it has before anything is given."""
    if isinstance(value, functools.partial):
        yield from _entries(value.func, {**value.keywords, **known}, (*value.args, *bound))
    elif isinstance(value, FunctionType):
        yield value, {**dict(zip(_positional(value), bound, strict=False)), **known}
    elif isinstance(value, MethodType):
        yield from _entries(value.__func__, known, (value.__self__, *bound))
    elif not isinstance(value, type):
        calling = (vars(base)["__call__"] for base in type(value).__mro__ if "__call__" in vars(base))
        if isinstance(method := next(calling, None), FunctionType):
            yield from _entries(method, known, (value, *bound))


def _positional(function: FunctionType) -> tuple[str, ...]:
    return function.__code__.co_varnames[: function.__code__.co_argcount]


def _parameters(function: FunctionType) -> tuple[str, ...]:
    code = function.__code__
    more = bool(code.co_flags & 0x04) + bool(code.co_flags & 0x08)  # *args and **names
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + more]


class _Search:
    """One search through what is called; a call that it has come to is not followed again."""

    def __init__(self) -> None:
        self._seen: set[Hashable] = set()
        self._kept: list[Frame] = []  # an id stays taken for as long as it is seen
        self._depth = 0

    def changes(self, frame: Frame, given: Given) -> bool:
        """Whether a function changes what it is given, or hands it to code that does."""
        known = frozenset((name, _identity(value)) for name, value in frame.known.items())
        key = id(frame.function), frozenset(given.items()), known
        if not given or key in self._seen:
            return False
        if tree_of(frame.function) is None or self._depth == _DEEPEST:
            return True
        self._seen.add(key)
        self._kept.append(frame)
        self._depth += 1
        try:
            return self._touches(frame, given)
        finally:
            self._depth -= 1

    def _touches(self, frame: Frame, given: Given) -> bool:
        used, spreading = usage(frame.function), spread(frame.function)
        reached = _reached(frame, {**dict.fromkeys(spreading.parameters, False), **given})
        changed = used.rebinds | {chain for chain in used.writes if not _is_plain(chain)}
        touched = any(chain[0] in reached and (len(chain) > 1 or not reached[chain[0]]) for chain in changed)
        return touched or any(self._hands_over(frame, call, reached) for call in spreading.calls)

    def _hands_over(self, frame: Frame, call: Handing, reached: Given) -> bool:
        """Whether a call hands over something that was given, and what is called may change it."""
        callee, arguments = call.callee or (), _handed(call, reached)
        if "pydantic" in callee[1:-1] and callee[0] in reached and not _only_reads(callee):
            return True  # of a class of the user's, which is not known here
        if not arguments or (len(callee) == 1 and callee[0] in spread(frame.function).defined):
            return False
        values = standing_for(frame, callee) if callee else [UNCLEAR]
        if any(value is UNCLEAR or value is GIFT for value in values):
            return len(callee) < 2 or callee[-1] not in _KEEPING
        return any(self._may_change(frame, call, value, arguments) for value in values)

    def _may_change(self, frame: Frame, call: Handing, value: Any, arguments: Arguments) -> bool:
        held = items_of(value)
        if held is not None:
            return any(self._may_change(frame, call, item, arguments) for item in held)
        if any(value is setter for setter in _SETTERS):
            return any(parameter in (0, ANY) for parameter, _ in arguments)
        if value is exec or value is eval:
            return True
        if isinstance(value, type) and is_own_class(value):
            return self._made_with(frame, call, value, arguments)
        entered = [*_entries(value, {}), *_entries(inspect.getattr_static(value, "__wrapped__", None), {})]
        own = [entry for entry in entered if is_own_function(entry[0].__code__, entry[0].__globals__)]
        if own:
            return any(self._enters(frame, call, function, known, arguments) for function, known in own)
        return self._library_calls_back(frame, call, entered)

    def _enters(
        self, frame: Frame, call: Handing, function: FunctionType, known: Mapping[str, Any], arguments: Arguments
    ) -> bool:
        """Whether a function changes some arguments; it knows the others that can be told, such as a function."""
        first = len([name for name in _positional(function) if name in known])
        given = {name: held for where, held in arguments for name in _names(function, where, first)}
        told = {
            name: values[0]
            for where, parts in call.given
            for name in (_names(function, where, first) if where != ANY and len(parts) == 1 else ())
            if name not in given and (values := standing_for(frame, next(iter(parts)).chain))
        }
        new = {name: held for name, held in given.items() if name not in known}
        return self.changes(Frame(function, {**told, **known}), new)

    def _made_with(self, frame: Frame, call: Handing, cls: type, arguments: Arguments) -> bool:
        """Whether an object that is made with something changes it, then or by a method: `Fixer(output).fix()`."""
        members = (member for base in cls.__mro__ if is_own_class(base) for member in vars(base).values())
        generated = any(hasattr(cls, name) for name in _GENERATING)
        own = [f for member in members for f in functions_of(member) if not generated or tree_of(f) is not None]
        for function in own:
            used, me = usage(function), function.__code__.co_varnames[:1]
            if any(len(chain) > 2 and chain[:1] == me for chain in used.rebinds | used.writes):
                return True
        making = [function for function in own if function.__name__ in ("__init__", "__new__")]
        return any(self._enters(frame, call, f, {f.__code__.co_varnames[0]: Made(cls)}, arguments) for f in making)

    def _library_calls_back(self, frame: Frame, call: Handing, entered: Sequence[Any]) -> bool:
        """Whether a library is handed a function of the user's as well, or wraps one: `pool.submit(fix, output)`."""
        chains = {part.chain for _, parts in call.given for part in parts}
        told = [value for chain in chains for value in standing_for(frame, chain)]
        wrapped = [held for function, _ in entered for _, held in closure_of(function)]
        return any(self._may_be_called(value) for value in (*told, *wrapped))

    def _may_be_called(self, value: Any) -> bool:
        """Whether something changes what it is given, whatever that is."""
        if any(value is setter for setter in _SETTERS):
            return True
        own = (entry for entry in _entries(value, {}) if is_own_function(entry[0].__code__, entry[0].__globals__))
        return any(
            self.changes(Frame(function, known), dict.fromkeys(set(_parameters(function)) - set(known), False))
            for function, known in own
        )


def _identity(value: Any) -> Hashable:
    """One key for a method or an object, however often it is found."""
    if isinstance(value, MethodType):
        return id(value.__func__), _identity(value.__self__)
    return value if isinstance(value, Made) else id(value)


def _reached(frame: Frame, given: Given) -> dict[str, bool]:
    """The names under which a function has what it is given, or a part of that."""
    reached, spreading, before = dict(given), spread(frame.function), -1
    while len(reached) > before:
        before = len(reached)
        for name, parts in spreading.flows:
            found = [held for part in parts if (held := _held(part, reached)) is not None]
            if found:
                reached[name] = all(found) and reached.get(name, True)
        for call in spreading.calls:
            if call.callee and _handed(call, reached) and _passes_on(frame, call.callee):
                reached[call.callee[0] + GIVEN] = False
    return reached


def _passes_on(frame: Frame, callee: Chain) -> bool:
    """Whether a function gives what it is given: `getattr(output, "pydantic")`, or one of the user's."""
    if len(callee) > 1 or callee[0] in PASSING_ON:
        return len(callee) == 1
    functions = (value for value in standing_for(frame, callee) if isinstance(value, FunctionType))
    return any(chain[0] in _parameters(each) for each in functions for chain in usage(each).returns)


def _handed(call: Handing, reached: Given) -> Arguments:
    each = ((where, _held(part, reached)) for where, parts in call.given for part in parts)
    return [(where, held) for where, held in each if held is not None]


def _held(part: Part, reached: Given) -> bool | None:
    """Whether a part only holds something that was given; None where it is plain, or of something else."""
    if part.chain[0] not in reached or _is_plain(part.chain):
        return None
    return part.held or (reached[part.chain[0]] and len(part.chain) == 1)


def _only_reads(callee: Chain) -> bool:
    return callee[-1] in READERS or f"{callee[-1]}()" in _PLAIN or callee[-1].startswith("model_")


def _is_plain(chain: Chain) -> bool:
    return "pydantic" not in chain and not _PLAIN.isdisjoint(chain[1:])


def _names(function: FunctionType, where: int | str, first: int) -> Sequence[str]:
    """The parameters of a function that an argument may go to."""
    code, names = function.__code__, _parameters(function)
    if where == ANY:
        return names[first:]
    at = names.index(where) if where in names else code.co_argcount if isinstance(where, str) else int(where) + first
    if isinstance(where, str) and where not in names:
        return names[-1:] if code.co_flags & 0x08 else ()
    if isinstance(where, int) and at >= code.co_argcount:
        at = code.co_argcount + code.co_kwonlyargcount
        return names[at : at + 1] if code.co_flags & 0x04 else ()
    return names[at : at + 1]


def _answers(function: FunctionType) -> bool:
    tree = tree_of(function)
    if tree is None or isinstance(tree, ast.Lambda):
        return True
    answers = (node.value for node in ast.walk(tree) if isinstance(node, ast.Return) and node.value is not None)
    return any(not (isinstance(answer, ast.Constant) and answer.value in (None, True)) for answer in answers)
