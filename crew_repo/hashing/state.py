"""What code writes itself: a counter, a log, a cache, a connection, or what `load` and `configure` are told.

If such values were hashed as they are, every run would make the next one stale; if they were left out, a tool that was
configured by a method would pass for another. So they count as they were given (see `_kept`). The rule is syntactic
and errs on the side of hashing: a name is written only where the source of the code that owns it assigns to it,
deletes it, or calls one of the mutating methods of Python's containers on it, outside of construction.
"""

from __future__ import annotations

import ast
import functools
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from types import CodeType, FunctionType
from typing import Any, Concatenate, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from crew_repo.hashing._bytecode import nested_codes
from crew_repo.hashing._origin import is_core_class, is_own_class
from crew_repo.hashing._source import SourceFile, file_of, live_node, node_at, once_per_code
from crew_repo.hashing._syntax import FunctionNode

__all__ = [
    "MUTATORS",
    "assigned_in",
    "attribute_of",
    "dotted_name",
    "first_argument",
    "function_of",
    "functions_of",
    "is_constructor",
    "live_tree_of",
    "mangled",
    "names_used",
    "own_written_attributes",
    "tree_of",
    "weakly_cached",
    "written_attributes",
    "written_by",
    "written_from_outside",
    "written_in",
    "written_in_module",
    "written_names",
    "written_parameters",
    "written_under_aliases",
]

MUTATORS = frozenset(
    {
        *("add", "append", "appendleft", "clear", "discard", "extend", "extendleft", "insert", "pop", "popitem"),
        *("popleft", "put", "put_nowait", "remove", "rotate", "setdefault", "subtract", "update", "write"),
        "writelines",
    }
)
_CONSTRUCTORS = frozenset(
    {
        *("__init__", "__new__", "__post_init__", "__attrs_post_init__", "__set_name__", "__init_subclass__"),
        *("model_post_init", "__class_getitem__"),
    }
)
_DESCRIPTORS = (
    *(classmethod, staticmethod, property, functools.cached_property, functools.partial, functools.partialmethod),
    functools.singledispatchmethod,
)
_HOLDS = ("__func__", "fget", "fset", "fdel", "func", "wrapped")


Key = TypeVar("Key")
Rest = ParamSpec("Rest")
Found = TypeVar("Found")


def weakly_cached(
    compute: Callable[Concatenate[Key, Rest], Found],
) -> Callable[Concatenate[Key, Rest], Found]:
    """Computed once for each class or function, for as long as it lives: closures hold objects of the user's."""
    cache: WeakKeyDictionary[Any, dict[Any, Found]] = WeakKeyDictionary()

    @functools.wraps(compute)
    def cached(key: Key, /, *rest: Rest.args, **names: Rest.kwargs) -> Found:
        known = cache.setdefault(key, {})
        if rest not in known:
            known[rest] = compute(key, *rest, **names)
        return known[rest]

    return cached


@weakly_cached
def written_attributes(cls: type) -> frozenset[str]:
    """The attributes that the methods of a class (and of its bases, where they have source) write on their object.

    Constructors and pydantic validators do not count: what they set is configuration. `self.calls += 1`,
    `self.log.append(x)`, `self.seen[k] = v`, `type(self).calls += 1` and `next(self.answers)` all do.
    """
    return frozenset().union(*map(written_in, cls.__mro__))


def own_written_attributes(kind: type) -> frozenset[str]:
    """The attributes that the methods of the user's own class write: its state."""
    return written_attributes(kind) if is_own_class(kind) else frozenset()


@weakly_cached
def assigned_in(cls: type) -> frozenset[str]:
    """The attributes that any method of this class writes on its object, also those that make it."""
    functions = (function for member in list(vars(cls).values()) for function in functions_of(member))
    return frozenset().union(*(written_by(function, cls.__name__) for function in functions))


@weakly_cached
def written_in(cls: type) -> frozenset[str]:
    """Those that the methods of this class itself write."""
    if is_core_class(cls) and not cls.__module__.startswith("crewai"):
        return frozenset()
    return frozenset().union(
        *(
            written_by(function, cls.__name__) | written_under_aliases(function, cls.__name__)
            for name, member in list(vars(cls).items())
            if not is_constructor(name) and not _validates(cls, name)
            for function in functions_of(member)
            if not is_constructor(function.__name__)
        )
    )


def is_constructor(name: str) -> bool:
    """Whether a method of this name makes the object, so that what it sets is configuration."""
    return name in _CONSTRUCTORS


def functions_of(member: Any) -> list[FunctionType]:
    """The functions that were written for a member of a class: under its descriptors, and under its decorators."""
    found: dict[int, FunctionType] = {}
    pending, seen = [member], set()
    while pending:
        some = pending.pop()
        if id(some) not in seen:
            seen.add(id(some))
            pending += _held_by(some)
            if isinstance(some, FunctionType):
                found[id(some)] = some
    return list(found.values())


def function_of(member: Any) -> Any:
    """The function that was written for a member of a class, if it has one: the innermost."""
    functions = functions_of(member)
    return functions[-1] if functions else member


def _held_by(member: Any) -> list[Any]:
    """What a descriptor is of, and what a decorator's function wraps, which is called like it."""
    if isinstance(member, FunctionType):
        cells = [_cell(cell) for cell in member.__closure__ or ()]
        inner = [some for some in cells if isinstance(some, FunctionType) and some.__name__ == member.__name__]
        return [*inner, vars(member).get("__wrapped__")]
    if isinstance(member, _DESCRIPTORS) or type(member).__name__ == "PydanticDescriptorProxy":
        return [getattr(member, name, None) for name in _HOLDS]
    return [vars(member).get("__wrapped__")] if hasattr(member, "__dict__") and not isinstance(member, type) else []


def _cell(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return None


def _validates(cls: type, name: str) -> bool:
    decorators = getattr(cls, "__pydantic_decorators__", None)
    kinds = ("validators", "field_validators", "root_validators", "model_validators")
    return any(name in getattr(decorators, kind, ()) for kind in kinds)


@weakly_cached
def written_by(function: FunctionType, class_name: str) -> frozenset[str]:
    """The attributes that one method of a class writes on its object, or on its class."""
    tree, owners = _method(function, class_name)
    found = (attribute_of(target, owners) for target in _targets(tree)) if tree else ()
    return frozenset(mangled(attribute, class_name) for attribute in found if attribute is not None)


@weakly_cached
def written_under_aliases(function: FunctionType, class_name: str) -> frozenset[str]:
    """The attributes that a method changes under a name of its own, after `cache = self._cache`."""
    tree, owners = _method(function, class_name)
    if tree is None:
        return frozenset()
    aliases = _aliases(tree, owners)
    changed = (target for target in _targets(tree) if not isinstance(target, ast.Name) or _was_mutated(target))
    names = {(dotted_name(target) or "").partition(".")[0] for target in changed}
    return frozenset(mangled(aliases[name], class_name) for name in names & aliases.keys())


def _method(function: FunctionType, class_name: str) -> tuple[FunctionNode | None, set[str]]:
    """The syntax of a method, and the names under which it has its object or its class; None if it has neither."""
    tree = tree_of(function)
    me = None if tree is None else first_argument(tree)
    return (None, set()) if me is None else (tree, {me, class_name})


def _aliases(tree: FunctionNode, owners: set[str]) -> dict[str, str]:
    """The names that stand for an attribute in a method: `cache = self._cache`."""
    named = (
        (node.targets[0].id, attribute_of(node.value, owners))
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    )
    return {name: attribute for name, attribute in named if attribute is not None}


def first_argument(tree: FunctionNode) -> str | None:
    """The name under which a method has its object."""
    positional = [*tree.args.posonlyargs, *tree.args.args]
    return positional[0].arg if positional else None


def mangled(name: str, class_name: str) -> str:
    """The name under which an object holds what its class calls `self.__name`."""
    private = name.startswith("__") and not name.endswith("__")
    return f"_{class_name.lstrip('_')}{name}" if private else name


@weakly_cached
def written_names(function: FunctionType) -> frozenset[str]:
    """The global and free variables that a function (or one nested in it) writes: `name` or `name.attribute`.

    Plain assignment needs a `global` or `nonlocal` statement, as in Python; without source there are none.
    """
    tree = tree_of(function)
    if tree is None:
        return frozenset()
    return _written_outside(tree, names_used(function) | {*function.__code__.co_freevars})


def _written_outside(tree: FunctionNode, outer: set[str]) -> frozenset[str]:
    declared = {name for node in ast.walk(tree) if isinstance(node, (ast.Global, ast.Nonlocal)) for name in node.names}
    return frozenset(
        dotted
        for target in _targets(tree)
        if (dotted := dotted_name(target)) is not None
        and (dotted.partition(".")[0] in outer or dotted in declared)
        and not (isinstance(target, ast.Name) and dotted not in declared and not _was_mutated(target))
    )


def names_used(function: FunctionType) -> set[str]:
    """The names of globals and attributes in a function, and in what is nested in it."""
    return {name for code in nested_codes(function.__code__) for name in code.co_names}


@weakly_cached
def written_parameters(function: FunctionType) -> frozenset[str]:
    """The parameters whose default a function writes: in `def f(x, seen={})`, `seen`."""
    tree = tree_of(function)
    code, defaults = function.__code__, function.__defaults__ or ()
    with_default = set(code.co_varnames[code.co_argcount - len(defaults) : code.co_argcount])
    with_default.update(function.__kwdefaults__ or ())
    if tree is None or not with_default:
        return frozenset()
    changed = (target for target in _targets(tree) if not isinstance(target, ast.Name) or _was_mutated(target))
    return frozenset((dotted_name(target) or "").partition(".")[0] for target in changed) & with_default


@once_per_code
def written_in_module(code: CodeType, namespace: Mapping[str, Any]) -> frozenset[str]:
    """The globals that any function in the file of this one writes, as `written_names` says them."""
    with suppress(SyntaxError, ValueError, RecursionError):
        return _written_in_file(file_of(code.co_filename, namespace))
    return frozenset()


@weakly_cached
def written_from_outside(cls: type) -> frozenset[str]:
    """The attributes of the user's class that functions of its module write on it: `Stats.calls += 1`."""
    namespace = vars(sys.modules.get(cls.__module__, cls))
    filename = namespace.get("__file__")
    if not is_own_class(cls) or not isinstance(filename, str):
        return frozenset()
    with suppress(SyntaxError, ValueError, RecursionError):
        names = (name.partition(".") for name in _written_in_file(file_of(filename, namespace)))
        return frozenset(attribute for head, _, attribute in names if head == cls.__name__ and attribute)
    return frozenset()


@weakly_cached
def _written_in_file(file: SourceFile) -> frozenset[str]:
    written: set[str] = set()
    for found in (found for same_name in file.functions.values() for found in same_name):
        outer = _globals_of(found.code)
        written |= {name for name in _written_outside(found.node, outer) if name.partition(".")[0] in outer}
    return frozenset(written)


def _globals_of(code: CodeType) -> set[str]:
    """The names in a function that may be globals."""
    return {
        name
        for some in nested_codes(code)
        for name in {*some.co_names} - {*some.co_varnames, *some.co_cellvars, *some.co_freevars}
    }


class _Mutated(ast.Name):
    """A name on which a mutator was called, or an item set: it needs no `global` statement."""


def _was_mutated(target: ast.expr) -> bool:
    return isinstance(target, _Mutated)


def tree_of(function: FunctionType) -> FunctionNode | None:
    """The syntax of a function, if its source can be found: its own, not that of what it wraps."""
    return node_at(function.__code__, function.__globals__)


def live_tree_of(function: FunctionType) -> FunctionNode | None:
    """The syntax of a function, if its source is what is live."""
    return live_node(function.__code__, function.__globals__)


def _targets(tree: ast.AST) -> Iterator[ast.expr]:
    """Every expression whose value the code changes."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Assign, ast.Delete)):
            for target in node.targets:
                yield from _unpacked(target)
        elif isinstance(node, (ast.AugAssign, ast.AnnAssign)):
            yield from _unpacked(node.target)
        elif isinstance(node, ast.Call):
            yield from _called_on(node)


def _unpacked(target: ast.expr) -> Iterator[ast.expr]:
    if isinstance(target, (ast.Tuple, ast.List)):
        for element in target.elts:
            yield from _unpacked(element)
    elif isinstance(target, ast.Subscript):
        yield _as_mutated(_root_of_items(target))
    elif isinstance(target, ast.Starred):
        yield from _unpacked(target.value)
    else:
        yield target


def _root_of_items(target: ast.expr) -> ast.expr:
    while isinstance(target, ast.Subscript):
        target = target.value
    return target


def _called_on(call: ast.Call) -> Iterator[ast.expr]:
    if isinstance(call.func, ast.Attribute) and call.func.attr in MUTATORS:
        yield _as_mutated(_root_of_items(call.func.value))
    elif isinstance(call.func, ast.Name) and call.func.id == "next" and call.args:
        yield _as_mutated(call.args[0])


def _as_mutated(target: ast.expr) -> ast.expr:
    return _Mutated(id=target.id, ctx=target.ctx) if isinstance(target, ast.Name) else target


def attribute_of(target: ast.expr, owners: set[str]) -> str | None:
    """`x` for `self.x`, `self.x.y`, `self.x[0].y`, `type(self).x`, `self.__class__.x` and `TheClass.x`."""
    chain: list[str] = []
    while isinstance(target, (ast.Attribute, ast.Subscript)):
        if isinstance(target, ast.Attribute):
            chain.append(target.attr)
        target = target.value
    if _is_type_of(target, owners) or (isinstance(target, ast.Name) and target.id in owners):
        chain = [name for name in reversed(chain) if name != "__class__"]
        return chain[0] if chain else None
    return None


def _is_type_of(node: ast.expr, owners: set[str]) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "type"
        and len(node.args) == 1
        and isinstance(node.args[0], ast.Name)
        and node.args[0].id in owners
    )


def dotted_name(target: ast.expr) -> str | None:
    """`name` for a name, `name.attribute` for an attribute of one (deeper ones count as their first two)."""
    chain: list[str] = []
    while isinstance(target, (ast.Attribute, ast.Subscript)):
        if isinstance(target, ast.Attribute):
            chain.append(target.attr)
        target = target.value
    if not isinstance(target, ast.Name):
        return None
    return ".".join([target.id, *list(reversed(chain))[:1]])
