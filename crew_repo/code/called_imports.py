"""Modules that the text of a module imports by calls: those named there, in a table of names, or parts of the package.

What a call comes to by a name that is made in another way is not known, and that is said.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib.util import resolve_name

from crew_repo.code.environment import Asked
from crew_repo.code.imports import IMPORTING, Import, named

__all__ = ["modules_called"]

_OWN_NAME = frozenset({"__name__", "__package__", "__spec__.name", "__spec__.parent"})
_READING = frozenset({"get", "keys", "items", "values"})
_COPYING = frozenset({"list", "tuple", "set", "frozenset", "sorted", "len"})
_FIXED = (ast.Dict, ast.List, ast.Tuple, ast.Set)


def modules_called(tree: ast.Module, asked: Asked, *, has_its_parts: bool) -> tuple[list[Import], bool]:
    """The modules that a text imports by calls, and whether those are all.

    `has_its_parts`: it is of a package of which all parts are read anyway, so a name of one says enough.
    """
    packages = dict(_packages(tree))
    found: list[Import] = []
    complete = not asked.other_modules
    for name in asked.modules:
        package = packages.get(id(name))
        texts = _texts(tree, name)
        resolved = [_resolved(text, package) for text in texts or []]
        found += [named(text) for text in resolved if text is not None]
        known = texts is not None and None not in resolved
        complete &= known or _is_own_name(name) or (has_its_parts and _is_own_part(name, package))
    return found, complete


def _packages(tree: ast.Module) -> Iterator[tuple[int, ast.expr]]:
    """The package from which a call starts, by the name that it is given with."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and _called(node) in IMPORTING:
            given = [*node.args[1:2], *(each.value for each in node.keywords if each.arg == "package")]
            yield from ((id(node.args[0]), each) for each in given)


def _called(call: ast.Call) -> str | None:
    return getattr(call.func, "attr", None) or getattr(call.func, "id", None)


def _resolved(text: str, package: ast.expr | None) -> str | None:
    """A module's name, of another package than its own in full; None if that package is unknown."""
    if text[:1] != "." or package is None or _is_own_name(package):
        return text
    try:
        return resolve_name(text, str(ast.literal_eval(package)))
    except (ImportError, ValueError):  # beyond its top, or a package that is known as it runs
        return None


def _is_own_name(node: ast.expr) -> bool:
    return isinstance(node, (ast.Name, ast.Attribute)) and ast.unparse(node) in _OWN_NAME


def _is_own_part(name: ast.expr, package: ast.expr | None) -> bool:
    """Whether a name that is made as it runs begins as those of the parts of a package do: `.{name}`, `{__name__}.`."""
    first, second, *_ = (*_pieces(name), None, None)
    if first is not None and _is_own_name(first):
        return (_text(second) or "")[:1] == "."
    begins = _text(first) or ""
    goes_on = len(begins) > 1 or (isinstance(second, ast.expr) and not (_text(second) or "").startswith("."))
    return begins[:1] == "." != begins[1:2] and goes_on and package is not None and _is_own_name(package)


def _pieces(name: ast.expr) -> Iterator[ast.expr]:
    """The expressions that a text is put together from."""
    if isinstance(name, ast.JoinedStr):
        yield from (piece.value if isinstance(piece, ast.FormattedValue) else piece for piece in name.values)
    elif isinstance(name, ast.BinOp) and isinstance(name.op, ast.Add):
        yield from (*_pieces(name.left), *_pieces(name.right))
    else:
        yield name


def _text(node: ast.expr | None) -> str | None:
    value = getattr(node, "value", None)
    return value if isinstance(value, str) else None


def _texts(tree: ast.Module, name: ast.expr) -> list[str] | None:
    """All texts that a name may be: one that is written there, or those of a table; None where nobody can tell."""
    text = _text(name)
    if text is not None:
        return [text]
    found = _table(tree, name)
    if found is None and isinstance(name, ast.Name):
        given = [_table(tree, value) for value in _values(tree, name.id)]
        found = None if None in given or not given else [text for texts in given for text in texts or []]
    return found


def _values(tree: ast.Module, name: str) -> list[ast.expr | None]:
    """All that a name is given anywhere in a text, or that it is one of; None for what does not stand there."""
    values: list[ast.expr | None] = []
    for node in ast.walk(tree):
        if isinstance(node, (ast.Assign, ast.AnnAssign, ast.NamedExpr, ast.For, ast.AsyncFor, ast.comprehension)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            bound = [each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)]
            value = getattr(node, "iter", None) or getattr(node, "value", None)
            values += [value] * bound.count(name)
    bindings = sum(_binds(node, name) for node in ast.walk(tree))
    return values if len(values) == bindings else [None]


def _binds(node: ast.AST, name: str) -> bool:
    """Whether a node gives a name something: a target, a parameter, an import, a function, `except`, `global`."""
    if isinstance(node, ast.Name):
        return node.id == name and not isinstance(node.ctx, ast.Load)
    if isinstance(node, ast.alias):
        return node.name == "*" or name == (node.asname or node.name.partition(".")[0])
    if isinstance(node, (ast.Global, ast.Nonlocal)):
        return name in node.names
    return name in {getattr(node, each, None) for each in ("arg", "name", "rest")} and not isinstance(node, ast.keyword)


def _table(tree: ast.Module, value: ast.expr | None) -> list[str] | None:
    """The texts of the table that an expression takes something from: `TABLE[name]`, `TABLE.get(name)`, `TABLE`."""
    while isinstance(value, ast.Subscript) and not isinstance(value.slice, ast.Slice):
        value = value.value
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr in _READING:
        defaults = value.args[1:]
        value = value.func.value if all(isinstance(each, ast.Constant) for each in defaults) else None
    if not isinstance(value, ast.Name) or not _is_left_alone(tree, value.id):
        return None
    tables = [node.value for node in tree.body if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value]
    given = _values(tree, value.id)
    table = given[0] if len(given) == 1 and given[0] in tables else None
    return list(_texts_of(table)) if isinstance(table, _FIXED) and _is_written_out(table) else None


def _is_left_alone(tree: ast.Module, name: str) -> bool:
    """Whether nothing is done with a table but to look something up in it."""
    reading = {id(each) for node in ast.walk(tree) for each in _read_from(node)}
    used = (node for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load))
    return all(id(node) in reading for node in used if node.id == name)


def _read_from(node: ast.AST) -> list[ast.expr]:
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
        return [node.value]
    if isinstance(node, ast.Attribute):
        return [node.value] if node.attr in _READING else []
    if isinstance(node, ast.Call):
        return node.args if getattr(node.func, "id", None) in _COPYING else []
    if isinstance(node, ast.Compare):
        return node.comparators
    if isinstance(node, ast.Starred):
        return [node.value]
    return [node.iter] if isinstance(node, (ast.For, ast.AsyncFor, ast.comprehension)) else []


def _is_written_out(table: ast.expr) -> bool:
    """Whether all that is in a table stands there, and none of it can be changed in place."""
    inside = [node for node in ast.walk(table) if isinstance(node, ast.expr) and node is not table]
    return all(isinstance(node, (ast.Constant, ast.Tuple)) for node in inside)


def _texts_of(table: ast.expr) -> Iterator[str]:
    for node in ast.walk(table):
        text = _text(node) if isinstance(node, ast.Constant) else None
        if text is not None:
            yield text
