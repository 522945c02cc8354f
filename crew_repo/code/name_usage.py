"""How a function uses what it did not make: which names it reads, binds anew, changes, or hands to others.

A use is told by a chain of names from a variable on: `self.log.append(x)` changes `("self", "log")`, and so it does
under another name, after `log = self.log`. Subscripts on the way are passed over; `()` ends the name of a function or
method whose value is used. The rule is
syntactic and errs on the side of change: whatever is not plainly a reading may change what it is done to.
"""

from __future__ import annotations

import ast
from types import FunctionType

from crew_repo.code.binding import Binder
from crew_repo.code.bytecode import global_chains
from crew_repo.code.expressions import GIVEN, IMPORTED, READERS, called, last_name
from crew_repo.code.members import functions_of, mangled, tree_of, weakly_cached
from crew_repo.code.uses import Passed, Usage

__all__ = ["GIVEN", "IMPORTED", "READERS", "Passed", "Usage", "assigned_in", "usage"]

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
        *("next", "shuffle", "setitem", "delitem", "iadd", "iconcat", "ior"),
    }
)
# Types whose methods are called with the container in front: `list.append(rows, x)`.
_TYPES = frozenset({"list", "dict", "set", "deque", "bytearray", "OrderedDict", "defaultdict", "Counter"})
_LEAVING = (ast.Return, ast.Raise, ast.Continue, ast.Break)


@weakly_cached
def usage(function: FunctionType) -> Usage:
    """The uses of a function and of what is nested in it; one without source may change all that it loads."""
    tree = tree_of(function)
    if tree is None:
        loaded = frozenset({*global_chains(function.__code__), *((name,) for name in function.__code__.co_freevars)})
        return Usage(reads=loaded, calls=loaded, wholes=loaded)
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


class _Reader(Binder):
    """Visits one function: what it calls and reads; its base visits what it binds."""

    def visit_first(self, node: ast.AST) -> None:
        """Visit a statement that stands in no other."""
        self.notes.always = isinstance(node, (ast.Assign, ast.AnnAssign))
        self.visit(node)

    # What is called, and what it is given.

    def visit_Expr(self, node: ast.Expr) -> None:
        """`log.append(x)`, alone in its line, writes and reads nothing."""
        call = node.value
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in _MUTATORS:
            self._note_mutation(call, call.func)
            self._visit_arguments(call)
            if isinstance(call.func.value, ast.Call):
                self.visit(call.func.value)
        else:
            self.visit(call)

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name):
            self.notes.calls.update(filter(None, [self.chain(node.func)]))
        if isinstance(node.func, ast.Attribute):
            receiver = self.chain(node.func.value)
            if node.func.attr in _MUTATORS:
                self._note_mutation(node, node.func)
            elif receiver and node.func.attr not in READERS:
                self.notes.calls.add(receiver)
        if called(node) in _IN_PLACE and node.args:
            self.notes.change(self.notes.writes, self.chain(node.args[0]))
        elif isinstance(node.func, ast.Name) and called(node) in {"setattr", "delattr"} and len(node.args) > 1:
            name = getattr(node.args[1], "value", None)
            self.notes.change(self.notes.rebinds, (*(self.chain(node.args[0]) or ()), str(name)))
        elif isinstance(node.func, ast.Name) and called(node) in {"getattr", "hasattr"} and len(node.args) > 1:
            name = getattr(node.args[1], "value", None)
            self.notes.read((*(self.chain(node.args[0]) or ()), str(name)))
        self._read_home(node)
        self.notes.parts.add(id(node.func))
        self._read_attribute(node.func) if isinstance(node.func, ast.Attribute) else self.visit(node.func)
        self._visit_arguments(node)

    def _note_mutation(self, call: ast.Call, func: ast.Attribute) -> None:
        """`rows.append(x)`, `list.append(rows, x)`, `vars(box).update(x=1)`."""
        home = self.namespace(func.value)
        if func.attr == "update" and home is not None:
            literal = (key for each in call.args if isinstance(each, ast.Dict) for key in each.keys)
            names = [*(word.arg for word in call.keywords), *(getattr(key, "value", None) for key in literal)]
            for name in filter(None, names):
                self.notes.change(self.notes.rebinds, (*home, str(name)))
        elif call.args and last_name(func.value) in _TYPES:
            self.notes.change(self.notes.writes, self.chain(call.args[0]))
        else:
            counts = func.attr == "setdefault" or (bool(call.args) and all(map(self.is_clock, call.args)))
            self.notes.change(self.notes.writes, self.chain(func.value), counts=counts)

    def _visit_arguments(self, node: ast.Call) -> None:
        callee = self.chain(node.func)
        given: list[tuple[int | str, ast.expr]] = [*enumerate(node.args)]
        given += [(word.arg or "**", word.value) for word in node.keywords]
        for parameter, argument in given:
            what = None if isinstance(argument, ast.Call) else self.chain(argument)
            if what and called(node) not in _READING:
                self.notes.passes.add(Passed(callee or (), parameter, what))
                self.notes.parts.add(id(argument))  # who is handed it may read a part
            self.visit(argument)

    # What is read, and after what test.

    def visit_Name(self, node: ast.Name) -> None:
        self.notes.read(self.chain(node) or (node.id,), node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        """`globals()["X"]` reads X."""
        self._read_home(node)
        self.generic_visit(node)

    def _read_home(self, node: ast.expr) -> None:
        home = self.named_home(node)
        if home:
            self.notes.read(home, node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        """A method that changes is called by whom it is handed to: `map(rows.append, found)`."""
        if node.attr in _MUTATORS:
            self.notes.change(self.notes.writes, self.chain(node.value))
        self._read_attribute(node)

    def _read_attribute(self, node: ast.Attribute) -> None:
        chain = self.chain(node)
        if chain:
            self.notes.read(chain, node)
        if node.attr != "__dict__":
            self.notes.names_only(node.value)
        self.generic_visit(node)

    def visit_Return(self, node: ast.Return | ast.Yield) -> None:
        chain = self.stands_for(node.value)
        if chain:
            self.notes.returns.add(chain)
        self.notes.names_only(node.value)
        self.generic_visit(node)

    visit_Yield = visit_Return

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self.notes.names_only(node.test)
        self.generic_visit(node)

    def visit_If(self, node: ast.If) -> None:
        self.notes.names_only(node.test.operand if isinstance(node.test, ast.UnaryOp) else node.test)
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
