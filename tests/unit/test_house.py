"""The house rules that no linter has: sizes, names of rooms, and how a docstring begins.

Each bound keeps what was reached from slipping back; a file at its bound is split by what it does, not by its lines.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

import crew_repo

PACKAGE = Path(crew_repo.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
LONGEST_FILE = 400
MOST_METHODS = 20
HASHING_LINES = 3000
THE_FACE = "StateRepository"  # each of its methods is one sentence of what a user can ask for
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
# A docstring says its subject; these words lean on a sentence that stands elsewhere.
ELLIPTIC = ["the same", "of", "what", "as", "those", "these", "and", "but", "nor", "so", "such"]


def lines_of(file: Path) -> int:
    return len(file.read_text(encoding="utf-8").splitlines())


@cache
def nodes() -> list[tuple[str, ast.AST]]:
    parsed = [(str(file.relative_to(PACKAGE)), ast.parse(file.read_text(encoding="utf-8"))) for file in FILES]
    return [(name, node) for name, tree in parsed for node in ast.walk(tree) if isinstance(node, DOCUMENTED)]


def test_a_file_is_read_in_one_sitting():
    """No file of the package has more than 400 lines."""
    assert {file.name: lines_of(file) for file in FILES if lines_of(file) > LONGEST_FILE} == {}


def test_no_class_does_everything():
    """No class has more than 20 methods, but the face."""
    classes = [node for _, node in nodes() if isinstance(node, ast.ClassDef) and node.name != THE_FACE]
    methods = {cls.name: sum(isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef)) for each in cls.body)
               for cls in classes}  # fmt: skip
    assert {name: number for name, number in methods.items() if number > MOST_METHODS} == {}


def test_hashing_can_be_read():
    """What counts as a change is told in at most 3,000 lines."""
    assert sum(map(lines_of, (PACKAGE / "hashing").rglob("*.py"))) <= HASHING_LINES


def test_a_room_is_found_by_its_name():
    """No two modules of a folder differ by an underscore only."""
    for folder in {file.parent for file in FILES}:
        names = [file.stem.replace("_", "") for file in folder.glob("*.py")]
        assert len(names) == len(set(names)), folder


@pytest.mark.parametrize("words", ELLIPTIC)
def test_a_docstring_says_its_subject(words):
    """It begins with a noun or a verb, and not with a word that needs the sentence before."""
    opening = re.compile(rf"{words}\b", re.IGNORECASE)
    said = [(file, ast.get_docstring(node) or "") for file, node in nodes()]
    assert [(file, text) for file, text in said if opening.match(text)] == []
