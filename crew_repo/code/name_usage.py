"""How a function uses what it did not make: which names it reads, binds anew, changes, or hands to others.

A use is told by a chain of names from a variable on: `self.log.append(x)` changes `("self", "log")`, and so it does
under another name, after `log = self.log`. Subscripts and calls of methods on the way are passed over. The rule is
syntactic and errs on the side of change: whatever is not plainly a reading may change what it is done to.
"""

from __future__ import annotations

import ast
from types import FunctionType
from typing import NamedTuple

from crew_repo.code.bytecode import Chain, global_chains
from crew_repo.code.members import functions_of, mangled, tree_of, weakly_cached
from crew_repo.code.name_chains import GIVEN, IMPORTED, READERS, NameChains, last_name
from crew_repo.code.syntax import FunctionNode

__all__ = ["GIVEN", "IMPORTED", "Passed", "Usage", "assigned_in", "usage"]

# Methods by which Python's containers are changed.
_MUTATORS = frozenset(
    {
        *("add", "append", "appendleft", "clear", "discard", "extend", "extendleft", "insert", "move_to_end", "pop"),
        *("popitem", "popleft", "put", "put_nowait", "remove", "reverse", "rotate", "setdefault", "sort", "subtract"),
        *("update", "write", "writelines", "__setitem__", "__delitem__"),
    }
)
# Functions that only read what they are given.
_READING = frozenset(
    {
        *("all", "any", "bool", "dict", "enumerate", "filter", "float", "format", "frozenset", "hash", "id", "int"),
        *("isinstance", "len", "list", "map", "max", "min", "print", "range", "repr", "reversed", "round", "set"),
        *("sorted", "str", "sum", "tuple", "type", "zip", "dumps", "join", "extend", "update", "deepcopy", "Counter"),
    }
)
# Functions of the standard library that change what they are given first.
_IN_PLACE = frozenset(
    {
        *("heapify", "heappop", "heappush", "heappushpop", "heapreplace", "insort", "insort_left", "insort_right"),
        *("next", "shuffle"),
    }
)
_LEAVING = (ast.Return, ast.Raise, ast.Continue, ast.Break)
_NAMESPACES = frozenset({"globals", "vars"})


class Passed(NamedTuple):
    """Something that a function hands to a call: the callee, which parameter it is there, and what is handed."""

    callee: Chain
    parameter: int | str
    what: Chain


class Usage(NamedTuple):
    """The uses of one function. `guarded` is what it writes only after it has looked: a cache, a lazy client."""

    reads: frozenset[Chain] = frozenset()
    rebinds: frozenset[Chain] = frozenset()
    writes: frozenset[Chain] = frozenset()
    calls: frozenset[Chain] = frozenset()
    passes: frozenset[Passed] = frozenset()
    guarded: frozenset[Chain] = frozenset()
    returns: frozenset[Chain] = frozenset()


@weakly_cached
def usage(function: FunctionType) -> Usage:
    """The uses of a function and of what is nested in it; one without source may change all that it loads."""
    tree = tree_of(function)
    if tree is None:
        loaded = frozenset({*global_chains(function.__code__), *((name,) for name in function.__code__.co_freevars)})
        return Usage(reads=loaded, calls=loaded)
    reader = _Reader(tree)
    for node in tree.body if isinstance(tree.body, list) else [tree.body]:
        reader.visit_first(node)
    return reader.notes.usage()


@weakly_cached
def assigned_in(cls: type) -> frozenset[str]:
    """The attributes that any method of this class writes on its object, also those that make it."""
    found = (function for member in list(vars(cls).values()) for function in functions_of(member))
    return frozenset(
        mangled(chain[1], cls.__name__)
        for function in found
        for chain in usage(function).rebinds | usage(function).writes
        if len(chain) > 1 and chain[0] == function.__code__.co_varnames[0]
    )


class _Notes:
    """Uses that were found by now, and which tests stand around what is visited."""

    def __init__(self) -> None:
        self.tests: list[set[Chain]] = []
        self.reads: set[Chain] = set()
        self.rebinds: set[Chain] = set()
        self.writes: set[Chain] = set()
        self.calls: set[Chain] = set()
        self.passes: set[Passed] = set()
        self.returns: set[Chain] = set()
        self.always = False  # whether what is visited is sure to be executed
        self._unguarded: set[Chain] = set()
        self._fresh: set[Chain] = set()  # what it binds anew before it reads it

    def usage(self) -> Usage:
        written = self.rebinds | self.writes
        return Usage(
            frozenset(self.reads),
            frozenset(self.rebinds),
            frozenset(self.writes),
            frozenset(self.calls),
            frozenset(self.passes),
            frozenset(written - self._unguarded),
            frozenset(self.returns),
        )

    def change(self, into: set[Chain], chain: Chain | None, *, counts: bool = False) -> None:
        """Note a change; `counts`: it only counts on, or fills what is not there, and needs no test to be guarded."""
        if chain is not None:
            into.add(chain)
            if not counts and not any(chain in test for test in self.tests):
                self._unguarded.add(chain)

    def anew(self, chain: Chain | None, *, counts: bool) -> None:
        self.change(self.rebinds, chain, counts=counts)
        if chain is not None and self.always and chain not in self.reads:
            self._fresh.add(chain)

    def read(self, chain: Chain) -> None:
        if chain not in self._fresh:
            self.reads.add(chain)


class _Reader(NameChains):
    def __init__(self, tree: FunctionNode) -> None:
        super().__init__()
        declaring = (node for node in ast.walk(tree) if isinstance(node, (ast.Global, ast.Nonlocal)))
        self._declared = {name for node in declaring for name in node.names}
        self.notes = _Notes()

    def visit_first(self, node: ast.AST) -> None:
        """Visit a statement that stands in no other."""
        self.notes.always = isinstance(node, (ast.Assign, ast.AnnAssign))
        self.visit(node)

    # What is changed.

    def _bind(self, target: ast.expr, value: ast.expr | None, *, counts: bool = False) -> None:
        if isinstance(target, (ast.Tuple, ast.List)):
            for number, element in enumerate(target.elts):
                of = value.elts[number : number + 1] if isinstance(value, (ast.Tuple, ast.List)) else [value]
                self._bind(element, of[0] if of else None)
        elif isinstance(target, ast.Starred):
            self._bind(target.value, None)
        elif isinstance(target, ast.Name):
            if target.id in self._declared:
                self.notes.anew((target.id,), counts=counts)
            elif (chain := self.stands_for(value)) is not None and chain[0] != target.id:
                self.aliases[target.id] = chain
        elif isinstance(target, ast.Attribute):
            self.notes.anew(self.chain(target), counts=counts)
            self.visit(target.value)
        elif isinstance(target, ast.Subscript):
            self._bind_item(target, counts=counts)

    def _bind_item(self, target: ast.Subscript, *, counts: bool) -> None:
        self.visit(target.slice)
        holder, key = target.value, getattr(target.slice, "value", None)
        if isinstance(holder, ast.Call) and last_name(holder) in _NAMESPACES:
            of = self.chain(holder.args[0]) if holder.args else ()
            self.notes.change(self.notes.rebinds, (*(of or ()), str(key)))
        elif isinstance(holder, ast.Attribute) and holder.attr == "__dict__":
            self.notes.change(self.notes.rebinds, (*(self.chain(holder) or ()), str(key)))
        else:
            self.notes.change(self.notes.writes, self.chain(holder), counts=counts)

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit(node.value)
        looked = [node.value.values[0]] if isinstance(node.value, ast.BoolOp) else []  # `self.x = self.x or made()`
        looked += [node.value.test] if isinstance(node.value, ast.IfExp) else []
        self.notes.tests.append(set(self.chains_in(looked)))
        for target in node.targets:
            self._bind(target, node.value)
        self.notes.tests.pop()

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)
            self._bind(node.target, node.value)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit(node.value)
        self._bind(node.target, node.value)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.visit(node.value)
        if isinstance(node.target, ast.Name) and node.target.id in self.aliases:
            self.notes.change(self.notes.writes, self.chain(node.target))
        elif isinstance(node.target, ast.Name) and node.target.id not in self._declared:
            return
        else:
            self._bind(node.target, None, counts=isinstance(node.value, ast.Constant))

    def visit_Delete(self, node: ast.Delete) -> None:
        for target in node.targets:
            self._bind(target, None)

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self.visit(node.iter)
        self._bind(node.target, node.iter)
        for statement in [*node.body, *node.orelse]:
            self.visit(statement)

    visit_AsyncFor = visit_For

    def visit_With(self, node: ast.With | ast.AsyncWith) -> None:
        """`with store() as rows` names what the function gives (see `returns`)."""
        for item in node.items:
            self.visit(item.context_expr)
            if item.optional_vars is not None:
                self._bind(item.optional_vars, item.context_expr)
        for statement in node.body:
            self.visit(statement)

    visit_AsyncWith = visit_With

    # What is called, and what it is given.

    def visit_Expr(self, node: ast.Expr) -> None:
        """`log.append(x)`, alone in its line, writes and reads nothing."""
        call = node.value
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in _MUTATORS:
            self.notes.change(self.notes.writes, self.chain(call.func.value))
            self._visit_arguments(call)
        else:
            self.visit(call)

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name):
            self.notes.calls.add(self.chain(node.func) or ())
        if isinstance(node.func, ast.Attribute):
            receiver = self.chain(node.func.value)
            if node.func.attr in _MUTATORS:
                self.notes.change(self.notes.writes, receiver, counts=node.func.attr == "setdefault")
            elif receiver is not None and node.func.attr not in READERS:
                self.notes.calls.add(receiver)
        if last_name(node) in _IN_PLACE and node.args:
            self.notes.change(self.notes.writes, self.chain(node.args[0]))
        elif isinstance(node.func, ast.Name) and last_name(node) in {"setattr", "delattr"} and len(node.args) > 1:
            name = getattr(node.args[1], "value", None)
            self.notes.change(self.notes.rebinds, (*(self.chain(node.args[0]) or ()), str(name)))
        elif isinstance(node.func, ast.Name) and last_name(node) in {"getattr", "hasattr"} and len(node.args) > 1:
            name = getattr(node.args[1], "value", None)
            self.notes.read((*(self.chain(node.args[0]) or ()), str(name)))
        self._read_attribute(node.func) if isinstance(node.func, ast.Attribute) else self.visit(node.func)
        self._visit_arguments(node)

    def _visit_arguments(self, node: ast.Call) -> None:
        callee = self.chain(node.func)
        given: list[tuple[int | str, ast.expr]] = [*enumerate(node.args)]
        given += [(word.arg or "**", word.value) for word in node.keywords]
        for parameter, argument in given:
            what = None if isinstance(argument, ast.Call) else self.chain(argument)
            if what is not None and last_name(node) not in _READING:
                self.notes.passes.add(Passed(callee or (), parameter, what))
            self.visit(argument)

    # What is read, and after what test.

    def visit_Name(self, node: ast.Name) -> None:
        self.notes.read(self.chain(node) or (node.id,))

    def visit_Attribute(self, node: ast.Attribute) -> None:
        """A method that changes is called by whom it is handed to: `map(rows.append, found)`."""
        if node.attr in _MUTATORS:
            self.notes.change(self.notes.writes, self.chain(node.value))
        self._read_attribute(node)

    def _read_attribute(self, node: ast.Attribute) -> None:
        chain = self.chain(node)
        if chain is not None:
            self.notes.read(chain)
        self.generic_visit(node)

    def visit_Return(self, node: ast.Return | ast.Yield) -> None:
        if isinstance(node.value, (ast.Name, ast.Attribute)) and (chain := self.chain(node.value)) is not None:
            self.notes.returns.add(chain)
        self.generic_visit(node)

    visit_Yield = visit_Return

    def visit_If(self, node: ast.If) -> None:
        self.visit(node.test)
        self.notes.tests.append(set(self.chains_in([node.test])))
        for statement in [*node.body, *node.orelse]:
            self.visit(statement)
        if not isinstance(node.body[-1], _LEAVING):  # else all that follows stands under the test
            self.notes.tests.pop()

    def visit_Try(self, node: ast.Try) -> None:
        for statement in [*node.body, *node.orelse, *node.finalbody]:
            self.visit(statement)
        self.notes.tests.append(set(self.chains_in(node.body)))
        for handler in node.handlers:
            self.visit(handler)
        self.notes.tests.pop()
