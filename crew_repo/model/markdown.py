"""A plan in GitHub's Markdown: a table, and a graph in Mermaid. Whatever names and reasons hold is shown as text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from crew_repo.model.decision import Decision, Status

if TYPE_CHECKING:
    from crew_repo.model.plan import Plan

__all__ = ["cell", "label", "markdown_of"]

_SHAPES = {  # what stands before and after a name, and the colors of the node
    Status.FRESH: ("([", "])", "fill:#d3f2d9,stroke:#2a7d3c,color:#000"),
    Status.STALE: ("[", "]", "fill:#ffe9b8,stroke:#9a6700,color:#000"),
    Status.MISSING: ("[[", "]]", "fill:#ffd9d6,stroke:#b42318,color:#000"),
    Status.MAY_RERUN: ("{{", "}}", "fill:#fff6de,stroke:#9a6700,color:#000,stroke-dasharray:5 5"),
}
_RIGHT = ("tokens", "seconds")
# Within a word these mean nothing to Markdown and Mermaid, and names are easier to read with them.
_IN_WORDS = re.compile(r"(?<=[A-Za-z0-9])[_.-](?=[A-Za-z0-9])")
_PLAIN_IN_CELLS = " ,;:()/+='\"?!%-.^{}"


def markdown_of(plan: Plan) -> str:
    """The table, the estimate and the notes, and the graph. It ends with a line break."""
    header, *rows = _rows(plan)
    table = [_line(header), _line("---:" if name in _RIGHT else "---" for name in header), *map(_line, rows)]
    notes = [f"note: {cell(note)}" for note in plan.notes]
    under = [line for text in (_text(plan.estimate), *notes) for line in ("", text)]
    return "\n".join([*table, *under, "", "```mermaid", *_graph(plan.all_decisions), "```", ""])


def _rows(plan: Plan) -> list[list[str]]:
    priced = plan.currency is not None
    header = ["task", "status", "tokens", "seconds", *["cost"] * priced, "why"]
    return [header, *([
        cell(decision.task_name), str(decision.status), "" if decision.tokens is None else f"{decision.tokens:,}",
        "" if decision.seconds is None else f"{decision.seconds:.1f}", *[_text(decision.cost_text)] * priced,
        "<br>".join(map(cell, decision.causes)),
    ] for decision in plan.all_decisions)]  # fmt: skip


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def cell(text: str) -> str:
    """A text as code in a cell: GitHub makes no mentions, links to issues or emoji of what is code."""
    return f"<code>{_text(text)}</code>" if text else ""


def _text(text: str) -> str:
    """A text that Markdown shows as it is, on one line."""
    return _escaped(text, _PLAIN_IN_CELLS, "&#{};").replace("://", "&#58;//")


def label(text: str) -> str:
    """A text that Mermaid shows as it is, on one line, between double quotes."""
    return _escaped(text, " ", "#{};") or " "


def _escaped(text: str, plain: str, form: str) -> str:
    """Letters, digits and what is plain stay; all else is given by its number, and line breaks are spaces."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    kept = {found.start() for found in _IN_WORDS.finditer(line)}
    return "".join(char if at in kept or char.isalnum() or char in plain else form.format(ord(char))
                   for at, char in enumerate(line))  # fmt: skip


def _graph(decisions: Sequence[Decision]) -> list[str]:
    """Nodes with their names and states, an arrow from each task to one that reads it, and the looks of the states."""
    places = {decision.task_name: f"t{at}" for at, decision in enumerate(decisions)}
    nodes = [_node(places[decision.task_name], decision) for decision in decisions]
    arrows = [f"    {places[name]} --> {places[decision.task_name]}"
              for decision in decisions for name in decision.reads if name in places]  # fmt: skip
    return ["flowchart TD", *nodes, *arrows, *_looks(decisions, lambda decision: places[decision.task_name])]


def _node(place: str, decision: Decision) -> str:
    before, after, _ = _SHAPES[decision.status]
    return f'    {place}{before}"{label(decision.task_name)}<br/>{decision.status}"{after}'


def _looks(decisions: Sequence[Decision], place: Callable[[Decision], str]) -> list[str]:
    lines = []
    for status, (_, _, colors) in _SHAPES.items():
        nodes = [place(decision) for decision in decisions if decision.status is status]
        name = str(status).replace(" ", "_")
        lines += [f"    classDef {name} {colors}", f"    class {','.join(nodes)} {name}"] if nodes else []
    return lines
