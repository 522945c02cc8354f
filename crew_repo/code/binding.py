"""Binding in a function: names that stand for something else, and variables, attributes and items that it changes."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from crew_repo.code.expressions import IMPORTED, Naming, is_number
from crew_repo.code.syntax import FunctionNode
from crew_repo.code.uses import UseNotes

__all__ = ["Binder"]


class Binder(Naming):
    """Visits the statements that bind."""

    def __init__(self, tree: FunctionNode) -> None:
        super().__init__()
        declaring = (node for node in ast.walk(tree) if isinstance(node, (ast.Global, ast.Nonlocal)))
        self.declared = {name for node in declaring for name in node.names}
        self.notes = UseNotes()

    def bind(self, target: ast.expr, value: ast.expr | None, *, counts: bool = False) -> None:
        """Take in a target and what it is bound to."""
        if isinstance(target, (ast.Tuple, ast.List)):
            for number, element in enumerate(target.elts):
                of = value.elts[number : number + 1] if isinstance(value, (ast.Tuple, ast.List)) else [value]
                self.bind(element, of[0] if of else None)
        elif isinstance(target, ast.Starred):
            self.bind(target.value, None)
        elif isinstance(target, ast.Name):
            if target.id in self.declared:
                self.notes.anew((target.id,), counts=counts)
            elif (chain := self.stands_for(value)) is not None and chain[:1] != (target.id,):
                self.aliases[target.id] = chain
        elif isinstance(target, ast.Attribute):
            self.notes.anew(self.chain(target), counts=counts)
            self.notes.names_only(target.value)
            self.visit(target.value)
        elif isinstance(target, ast.Subscript):
            self._bind_item(target, counts=counts)

    def _bind_item(self, target: ast.Subscript, *, counts: bool) -> None:
        self.visit(target.slice)
        named = self.named_home(target)
        if named is not None:
            self.notes.change(self.notes.rebinds, named)
        else:
            self.notes.change(self.notes.writes, self.chain(target.value), counts=counts)

    def bind_names(self, names: Iterable[str]) -> None:
        """`import x`, `def x` and `class x` bind a global too, where it is declared as one."""
        for name in self.declared.intersection(names):
            self.notes.anew((name,), counts=False)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        """A nested function binds its name."""
        self.bind_names([node.name])
        self.generic_visit(node)

    visit_AsyncFunctionDef = visit_ClassDef = visit_FunctionDef

    def visit_Import(self, node: ast.Import) -> None:
        """Modules bind names."""
        for each in node.names:
            name = each.asname or each.name.partition(".")[0]
            self.aliases[name] = (IMPORTED + (each.name if each.asname else name),)
            self.bind_names([name])

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """Names of modules are bound."""
        module = IMPORTED + "." * node.level + (node.module or "")
        self.aliases.update({each.asname or each.name: (module, each.name) for each in node.names})
        self.bind_names(each.asname or each.name for each in node.names)

    def visit_Assign(self, node: ast.Assign) -> None:
        """An assignment; `self.x = self.x or made()` looks first."""
        self.notes.names_only(node.value)
        self.visit(node.value)
        looked = [node.value.values[0]] if isinstance(node.value, ast.BoolOp) else []  # `self.x = self.x or made()`
        looked += [node.value.test] if isinstance(node.value, ast.IfExp) else []
        self.notes.tests.append(set(self.chains_in(looked)))
        for target in node.targets:
            self.bind(target, node.value, counts=self.is_clock(node.value) or self.counts_up(target, node.value))
        self.notes.tests.pop()

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        """An assignment with a type."""
        if node.value is not None:
            self.visit(node.value)
            self.bind(node.target, node.value)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        """An assignment in an expression."""
        self.visit(node.value)
        self.bind(node.target, node.value)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        """An assignment that reads first."""
        self.visit(node.value)
        if isinstance(node.target, ast.Name) and node.target.id in self.aliases:
            self.notes.change(self.notes.writes, self.chain(node.target))
        elif isinstance(node.target, ast.Name) and node.target.id not in self.declared:
            return
        else:
            self.bind(node.target, None, counts=is_number(node.value))

    def visit_Delete(self, node: ast.Delete) -> None:
        """A deletion, which changes what it deletes from."""
        for target in node.targets:
            self.bind(target, None)

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        """A loop, whose target names items."""
        self.notes.names_only(node.iter)
        self.visit(node.iter)
        self.bind(node.target, node.iter)
        for statement in [*node.body, *node.orelse]:
            self.visit(statement)

    visit_AsyncFor = visit_For

    def visit_With(self, node: ast.With | ast.AsyncWith) -> None:
        """`with store() as rows` names what the function gives (see `returns`)."""
        for item in node.items:
            self.notes.names_only(item.context_expr)
            self.visit(item.context_expr)
            if item.optional_vars is not None:
                self.bind(item.optional_vars, item.context_expr)
        for statement in node.body:
            self.visit(statement)

    visit_AsyncWith = visit_With
