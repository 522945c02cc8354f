"""What code writes itself: a counter, a log, a cache, a connection, or what `load` and `configure` are told.

If such values were hashed as they are, every run would make the next one stale; if they were left out, a tool that was
configured by a method would pass for another. So they count as they were given (see `_kept`). The rule is syntactic
and errs on the side of hashing: a name is written only where the source of the code that owns it assigns to it,
deletes it, or calls one of the mutating methods of Python's containers on it, outside of construction.
"""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any, Concatenate, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

__all__ = [
    "MUTATORS",
    "attribute_of",
    "dotted_name",
    "function_of",
    "is_constructor",
    "mangled",
    "tree_of",
    "weakly_cached",
    "written_attributes",
    "written_by",
    "written_in",
    "written_names",
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
        "model_post_init",
    }
)


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


@weakly_cached
def written_in(cls: type) -> frozenset[str]:
    """Those that the methods of this class itself write."""
    if cls.__module__ == "builtins":
        return frozenset()
    return frozenset().union(*(_written_by_method(cls, member) for member in list(vars(cls).values())))


def _written_by_method(cls: type, member: Any) -> frozenset[str]:
    found = function_of(member)
    if not isinstance(found, FunctionType) or is_constructor(found.__name__) or _validates(cls, found.__name__):
        return frozenset()
    return written_by(found, cls.__name__)


def is_constructor(name: str) -> bool:
    """Whether a method of this name makes the object, so that what it sets is configuration."""
    return name in _CONSTRUCTORS


def function_of(member: Any) -> Any:
    """The function that was written for a member of a class, under its descriptors and decorators."""
    found = getattr(member, "__func__", None) or getattr(member, "fget", None) or member
    found = inspect.unwrap(found) if callable(found) else found
    for cell in getattr(found, "__closure__", None) or ():
        inner = _cell(cell)
        if isinstance(inner, FunctionType) and inner.__name__ == getattr(found, "__name__", None):
            found = inner
    return found


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
    tree = tree_of(function)
    if tree is None or not tree.args.args:
        return frozenset()
    owner = tree.args.args[0].arg
    written = set()
    for target in _targets(tree):
        attribute = attribute_of(target, {owner, class_name})
        if attribute is not None:
            written.add(mangled(attribute, class_name))
    return frozenset(written)


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
    declared = {name for node in ast.walk(tree) if isinstance(node, (ast.Global, ast.Nonlocal)) for name in node.names}
    outer = {*function.__code__.co_names, *function.__code__.co_freevars}
    return frozenset(
        dotted
        for target in _targets(tree)
        if (dotted := dotted_name(target)) is not None
        and (dotted.partition(".")[0] in outer or dotted in declared)
        and not (isinstance(target, ast.Name) and dotted not in declared and not _was_mutated(target))
    )


class _Mutated(ast.Name):
    """A name on which a mutator was called, or an item set: it needs no `global` statement."""


def _was_mutated(target: ast.expr) -> bool:
    return isinstance(target, _Mutated)


def tree_of(function: FunctionType) -> ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | None:
    """The syntax of a function, if its source can be found."""
    try:
        source = textwrap.dedent(inspect.getsource(function))
        tree = ast.parse(source)
    except (OSError, TypeError, SyntaxError, ValueError):
        return None
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == function.__name__:
            return node
    return None


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
