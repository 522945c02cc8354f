"""How a function uses what it did not make: which names it reads, binds anew, changes, or hands to others.

A use is told by a chain of names from a variable on: `self.log.append(x)` changes `("self", "log")`, and so it does
under another name, after `log = self.log`. Subscripts on the way are passed over; `()` ends the name of a function or
method whose value is used. The rule is
syntactic and errs on the side of change: whatever is not plainly a reading may change what it is done to.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from types import FunctionType
from typing import NamedTuple

from crew_repo.code.bytecode import Chain, global_chains
from crew_repo.code.expressions import GIVEN, IMPORTED, READERS, Naming, called, is_number, last_name
from crew_repo.code.members import functions_of, mangled, tree_of, weakly_cached
from crew_repo.code.syntax import FunctionNode

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


class Passed(NamedTuple):
    """What a function hands to a call: the callee, which parameter it is there, and what is handed."""

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
    wholes: frozenset[Chain] = frozenset()  # what it reads with all that is in it: `asdict(state)`, f"{state}"


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
    return reader.usage()


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


class _Reader(Naming):
    def __init__(self, tree: FunctionNode) -> None:
        declaring = (node for node in ast.walk(tree) if isinstance(node, (ast.Global, ast.Nonlocal)))
        self._declared = {name for node in declaring for name in node.names}
        super().__init__()
        self._tests: list[set[Chain]] = []
        self._reads: set[Chain] = set()
        self._rebinds: set[Chain] = set()
        self._writes: set[Chain] = set()
        self._calls: set[Chain] = set()
        self._passes: set[Passed] = set()
        self._unguarded: set[Chain] = set()
        self._returns: set[Chain] = set()
        self._wholes: set[Chain] = set()
        self._parts: set[int] = set()  # the nodes that only name, bind or test something, or lead to a part of it
        self._fresh: set[Chain] = set()  # what it binds anew before it reads it
        self._always = False  # whether what is visited is sure to be executed

    def usage(self) -> Usage:
        written = self._rebinds | self._writes
        return Usage(
            frozenset(self._reads),
            frozenset(self._rebinds),
            frozenset(self._writes),
            frozenset(self._calls),
            frozenset(self._passes),
            frozenset(written - self._unguarded),
            frozenset(self._returns),
            frozenset(self._wholes),
        )

    def visit_first(self, node: ast.AST) -> None:
        """Visit a statement that stands in no other."""
        self._always = isinstance(node, (ast.Assign, ast.AnnAssign))
        self.visit(node)

    # What is changed.

    def _note(self, into: set[Chain], chain: Chain | None, *, counts: bool = False) -> None:
        if chain:
            into.add(chain)
            if not counts and not any(chain in test for test in self._tests):
                self._unguarded.add(chain)

    def _note_anew(self, chain: Chain | None, *, counts: bool) -> None:
        self._note(self._rebinds, chain, counts=counts)
        if chain and self._always and chain not in self._reads:
            self._fresh.add(chain)

    def _bind(self, target: ast.expr, value: ast.expr | None, *, counts: bool = False) -> None:
        if isinstance(target, (ast.Tuple, ast.List)):
            for number, element in enumerate(target.elts):
                of = value.elts[number : number + 1] if isinstance(value, (ast.Tuple, ast.List)) else [value]
                self._bind(element, of[0] if of else None)
        elif isinstance(target, ast.Starred):
            self._bind(target.value, None)
        elif isinstance(target, ast.Name):
            if target.id in self._declared:
                self._note_anew((target.id,), counts=counts)
            elif (chain := self.stands_for(value)) is not None and chain[:1] != (target.id,):
                self.aliases[target.id] = chain
        elif isinstance(target, ast.Attribute):
            self._note_anew(self.chain(target), counts=counts)
            self._names_only(target.value)
            self.visit(target.value)
        elif isinstance(target, ast.Subscript):
            self._bind_item(target, counts=counts)

    def _bind_item(self, target: ast.Subscript, *, counts: bool) -> None:
        self.visit(target.slice)
        named = self.named_home(target)
        if named is not None:
            self._note(self._rebinds, named)
        else:
            self._note(self._writes, self.chain(target.value), counts=counts)

    def _bind_names(self, names: Iterable[str]) -> None:
        """`import x`, `def x` and `class x` bind a global too, where it is declared as one."""
        for name in self._declared.intersection(names):
            self._note_anew((name,), counts=False)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        self._bind_names([node.name])
        self.generic_visit(node)

    visit_AsyncFunctionDef = visit_ClassDef = visit_FunctionDef

    def visit_Import(self, node: ast.Import) -> None:
        for each in node.names:
            name = each.asname or each.name.partition(".")[0]
            self.aliases[name] = (IMPORTED + (each.name if each.asname else name),)
            self._bind_names([name])

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = IMPORTED + "." * node.level + (node.module or "")
        self.aliases.update({each.asname or each.name: (module, each.name) for each in node.names})
        self._bind_names(each.asname or each.name for each in node.names)

    def visit_Assign(self, node: ast.Assign) -> None:
        self._names_only(node.value)
        self.visit(node.value)
        looked = [node.value.values[0]] if isinstance(node.value, ast.BoolOp) else []  # `self.x = self.x or made()`
        looked += [node.value.test] if isinstance(node.value, ast.IfExp) else []
        self._tests.append(set(self._chains_in(looked)))
        for target in node.targets:
            self._bind(target, node.value, counts=self.is_clock(node.value) or self.counts_up(target, node.value))
        self._tests.pop()

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
            self._note(self._writes, self.chain(node.target))
        elif isinstance(node.target, ast.Name) and node.target.id not in self._declared:
            return
        else:
            self._bind(node.target, None, counts=is_number(node.value))

    def visit_Delete(self, node: ast.Delete) -> None:
        for target in node.targets:
            self._bind(target, None)

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self._names_only(node.iter)
        self.visit(node.iter)
        self._bind(node.target, node.iter)
        for statement in [*node.body, *node.orelse]:
            self.visit(statement)

    visit_AsyncFor = visit_For

    def visit_With(self, node: ast.With | ast.AsyncWith) -> None:
        """`with store() as rows` names what the function gives (see `returns`)."""
        for item in node.items:
            self._names_only(item.context_expr)
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
            self._note_mutation(call, call.func)
            self._visit_arguments(call)
            if isinstance(call.func.value, ast.Call):
                self.visit(call.func.value)
        else:
            self.visit(call)

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name):
            self._calls.update(filter(None, [self.chain(node.func)]))
        if isinstance(node.func, ast.Attribute):
            receiver = self.chain(node.func.value)
            if node.func.attr in _MUTATORS:
                self._note_mutation(node, node.func)
            elif receiver and node.func.attr not in READERS:
                self._calls.add(receiver)
        if called(node) in _IN_PLACE and node.args:
            self._note(self._writes, self.chain(node.args[0]))
        elif isinstance(node.func, ast.Name) and called(node) in {"setattr", "delattr"} and len(node.args) > 1:
            name = getattr(node.args[1], "value", None)
            self._note(self._rebinds, (*(self.chain(node.args[0]) or ()), str(name)))
        elif isinstance(node.func, ast.Name) and called(node) in {"getattr", "hasattr"} and len(node.args) > 1:
            name = getattr(node.args[1], "value", None)
            self._note_read((*(self.chain(node.args[0]) or ()), str(name)))
        self._read_home(node)
        self._parts.add(id(node.func))
        self._read_attribute(node.func) if isinstance(node.func, ast.Attribute) else self.visit(node.func)
        self._visit_arguments(node)

    def _note_mutation(self, call: ast.Call, func: ast.Attribute) -> None:
        """`rows.append(x)`, `list.append(rows, x)`, `vars(box).update(x=1)`."""
        home = self.namespace(func.value)
        if func.attr == "update" and home is not None:
            literal = (key for each in call.args if isinstance(each, ast.Dict) for key in each.keys)
            names = [*(word.arg for word in call.keywords), *(getattr(key, "value", None) for key in literal)]
            for name in filter(None, names):
                self._note(self._rebinds, (*home, str(name)))
        elif call.args and last_name(func.value) in _TYPES:
            self._note(self._writes, self.chain(call.args[0]))
        else:
            counts = func.attr == "setdefault" or (bool(call.args) and all(map(self.is_clock, call.args)))
            self._note(self._writes, self.chain(func.value), counts=counts)

    def _visit_arguments(self, node: ast.Call) -> None:
        callee = self.chain(node.func)
        given: list[tuple[int | str, ast.expr]] = [*enumerate(node.args)]
        given += [(word.arg or "**", word.value) for word in node.keywords]
        for parameter, argument in given:
            what = None if isinstance(argument, ast.Call) else self.chain(argument)
            if what and called(node) not in _READING:
                self._passes.add(Passed(callee or (), parameter, what))
                self._parts.add(id(argument))  # who is handed it may read a part
            self.visit(argument)

    # What is read, and after what test.

    def visit_Name(self, node: ast.Name) -> None:
        self._note_read(self.chain(node) or (node.id,), node)

    def _note_read(self, chain: Chain, node: ast.AST | None = None) -> None:
        if chain not in self._fresh:
            self._reads.add(chain)
            if node is not None and id(node) not in self._parts:
                self._wholes.add(chain)

    def _names_only(self, node: ast.AST | None) -> None:
        """An expression that is bound to a name, tested or led through is not read as a whole."""
        while isinstance(node, ast.Subscript):
            node = node.value
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], (ast.Is, ast.IsNot)):
            node = node.left
        self._parts.add(id(node))

    def visit_Subscript(self, node: ast.Subscript) -> None:
        """`globals()["X"]` reads X."""
        self._read_home(node)
        self.generic_visit(node)

    def _read_home(self, node: ast.expr) -> None:
        home = self.named_home(node)
        if home:
            self._note_read(home, node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        """A method that changes is called by whom it is handed to: `map(rows.append, found)`."""
        if node.attr in _MUTATORS:
            self._note(self._writes, self.chain(node.value))
        self._read_attribute(node)

    def _read_attribute(self, node: ast.Attribute) -> None:
        chain = self.chain(node)
        if chain:
            self._note_read(chain, node)
        if node.attr != "__dict__":
            self._names_only(node.value)
        self.generic_visit(node)

    def visit_Return(self, node: ast.Return | ast.Yield) -> None:
        chain = self.stands_for(node.value)
        if chain:
            self._returns.add(chain)
        self._names_only(node.value)
        self.generic_visit(node)

    visit_Yield = visit_Return

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self._names_only(node.test)
        self.generic_visit(node)

    def visit_If(self, node: ast.If) -> None:
        self._names_only(node.test.operand if isinstance(node.test, ast.UnaryOp) else node.test)
        self.visit(node.test)
        self._tests.append(set(self._chains_in([node.test])))
        for statement in [*node.body, *node.orelse]:
            self.visit(statement)
        if not isinstance(node.body[-1], _LEAVING):  # else all that follows stands under the test
            self._tests.pop()

    def visit_Try(self, node: ast.Try) -> None:
        for statement in [*node.body, *node.orelse, *node.finalbody]:
            self.visit(statement)
        self._tests.append(set(self._chains_in(node.body)))
        for handler in node.handlers:
            self.visit(handler)
        self._tests.pop()

    def _chains_in(self, nodes: Iterable[ast.AST]) -> Iterator[Chain]:
        for node in (inner for each in nodes for inner in ast.walk(each)):
            if isinstance(node, (ast.Name, ast.Attribute)) and (chain := self.chain(node)) is not None:
                yield chain
