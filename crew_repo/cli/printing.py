"""Answers of commands, and how they are printed: tables for people, one JSON value for scripts.

The JSON has five members: `schema` ("crew-repo/1"), `command`, `exit_code`, and `result` or `error`, of which one is
null. Members may be added to a result; none is renamed or removed without another `schema`.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any

__all__ = [
    "SCHEMA",
    "Answer",
    "Table",
    "counted",
    "error_of",
    "live",
    "moment",
    "on_a_line",
    "print_answer",
    "print_error",
    "printable",
    "say",
    "seconds",
    "whole",
]

SCHEMA = "crew-repo/1"
_COLORS = {"completed": "green", "fresh": "green", "reused": "green", "executed": "cyan", "running": "cyan",
           "failed": "red", "interrupted": "red", "invalidated": "yellow", "stale": "yellow", "missing": "yellow",
           "may rerun": "yellow"}  # fmt: skip


class Table:
    """Rows of text under a header; columns that are named in `numbers` stand to the right."""

    def __init__(self, header: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[str] = ()) -> None:
        self.header, self.rows, self.numbers = list(header), [list(map(on_a_line, row)) for row in rows], numbers

    def lines(self) -> list[str]:
        """The table as plain text."""
        rows = [self.header, *self.rows]
        widths = [max(len(row[column]) for row in rows) for column in range(len(self.header))]
        right = [name in self.numbers for name in self.header]
        return ["  ".join(cell.rjust(width) if to_right else cell.ljust(width)
                          for cell, width, to_right in zip(row, widths, right, strict=True)).rstrip()
                for row in rows]  # fmt: skip


class Answer:
    """The finding of a command: `result` for scripts, blocks for people, notes for standard error, the exit code."""

    def __init__(
        self, result: dict[str, Any], *blocks: str | Table, exit_code: int = 0, notes: Sequence[str] = ()
    ) -> None:
        self.result, self.blocks, self.exit_code, self.notes = result, blocks, exit_code, notes


def print_answer(command: str | None, answer: Answer, *, as_json: bool) -> int:
    """Print it, and return its exit code; whoever stops reading, as `head` does, has had enough."""
    try:
        _notes(answer.notes)
        if as_json:
            _json(command, answer.exit_code, result=answer.result)
        else:
            _print_blocks(answer.blocks)
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
    return answer.exit_code


def say(line: str) -> bool:
    """Print a line at once; False if nobody reads any more."""
    try:
        print(line, flush=True)  # noqa: T201
    except BrokenPipeError:
        _drop_output()
        return False
    return True


def _drop_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def live() -> Iterator[Callable[[Sequence[str | Table]], None] | None]:
    """Give, on a terminal, what draws blocks in the place of the last ones, and clears them at the end; else None."""
    console = _console()
    if console is None:
        yield None
        return
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    with Live(console=console, auto_refresh=False, transient=True) as screen:
        yield lambda blocks: screen.update(
            Group(*(_rich(block) if isinstance(block, Table) else Text(block) for block in blocks)), refresh=True
        )


def print_error(command: str | None, exit_code: int, kind: str, message: str, *, as_json: bool) -> int:
    """Print one line on standard error, or the JSON of it on standard output."""
    if as_json:
        _json(command, exit_code, error={"type": kind, "message": message})
    else:
        print(f"crew-repo: {' '.join(message.split())}", file=sys.stderr, flush=True)  # noqa: T201
    return exit_code


def _notes(notes: Sequence[str]) -> None:
    for note in notes:
        print(f"note: {on_a_line(note)}", file=sys.stderr, flush=True)  # noqa: T201


def _json(command: str | None, exit_code: int, *, result: object = None, error: object = None) -> None:
    import json

    value = {"schema": SCHEMA, "command": command, "exit_code": exit_code, "result": result, "error": error}
    print(json.dumps(value, ensure_ascii=True, indent=2, default=str))  # noqa: T201


def _print_blocks(blocks: Sequence[str | Table]) -> None:
    console = _console()
    for block in blocks:
        if console is not None and isinstance(block, Table):
            console.print(_rich(block))
        else:
            print("\n".join(block.lines()) if isinstance(block, Table) else block)  # noqa: T201


def _console() -> Any | None:
    """A terminal that understands colors; None for anything else."""
    if not sys.stdout.isatty() or os.environ.get("TERM") == "dumb":
        return None
    from rich.console import Console  # which knows NO_COLOR

    return Console()


def _rich(block: Table) -> Any:
    from rich.table import Table as RichTable
    from rich.text import Text

    table = RichTable(box=None, pad_edge=False, header_style="bold")
    for name in block.header:
        table.add_column(name, justify="right" if name in block.numbers else "left", overflow="fold")
    for row in block.rows:
        table.add_row(*(Text(cell, style=_COLORS.get(cell, "")) for cell in row))
    return table


def on_a_line(text: str) -> str:
    """A text on one line, without what a terminal would obey."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def printable(text: str) -> str:
    """A text as it is, without what a terminal would obey."""
    return "".join(char if char.isprintable() or char in "\n\t" else "�" for char in text)


def whole(number: int | None) -> str:
    """A number with commas, nothing for None."""
    return "" if number is None else f"{number:,}"


def counted(number: int, noun: str) -> str:
    """`1 task`, `2,000 tasks`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def seconds(number: float | None) -> str:
    """Seconds with one decimal, nothing for None."""
    return "" if number is None else f"{number:.1f}"


def error_of(row: Mapping[str, Any]) -> str:
    """The kind of an error and its message; the kind alone where it has none, as Ctrl-C."""
    return ": ".join(part for part in (row["error_type"], row["error_message"]) if part)


def moment(text: str | None) -> str:
    """A time to the second, in UTC."""
    return (text or "")[:19].replace("T", " ")
