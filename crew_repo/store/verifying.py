"""Finding damage: whatever is stored is hashed again, and compared with the hash from when it was written."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from sqlalchemy import and_, bindparam, or_, select

from crew_repo.errors import StoreError
from crew_repo.hashing import FORMAT, definition_hash, gives, input_hash, output_hash
from crew_repo.model import PERSON, ChangeKind, Component, NewRecord, Problem
from crew_repo.store.rows import RECORD_COLUMNS, inputs_of, record_of
from crew_repo.store.tables import CHANGE, RECORD, RUN, TEXT
from crew_repo.store.transaction import Transaction

__all__ = ["altered_texts", "change_problems", "input_problems", "record_page", "text_page", "what_is_wrong"]

_PAGE = 200
_RECORDS = select(*RECORD_COLUMNS).where(RECORD.c.record_id > bindparam("a")).order_by(RECORD.c.record_id).limit(_PAGE)
_GAVE = (str(ChangeKind.OVERRIDE), str(ChangeKind.MARK_COMPLETE), str(ChangeKind.ADOPT))
_GIVEN = (
    select(RECORD.c.record_id, RECORD.c.workflow_id, RECORD.c.task_name, RECORD.c.origin, RECORD.c.person,
           RECORD.c.output_hash, CHANGE.c.change_id, CHANGE.c.hash_after, CHANGE.c.changed_by)
    .join(CHANGE, and_(CHANGE.c.record_after == RECORD.c.record_id, CHANGE.c.kind.in_(_GAVE)), isouter=True)
    .where(or_(RECORD.c.origin == PERSON, CHANGE.c.change_id.is_not(None)))
    .order_by(RECORD.c.record_id)
)  # fmt: skip
_INPUTS = select(RUN.c.run_id, RUN.c.workflow_id, RUN.c.input_hashes).where(RUN.c.input_hashes.is_not(None))
_TEXTS = select(TEXT).where(TEXT.c.sha256 > bindparam("a")).order_by(TEXT.c.sha256).limit(_PAGE)


def what_is_wrong(record: NewRecord) -> Iterator[str]:
    """Everything about a record that does not fit; nothing if it is as it was written."""
    if record.hash_format != FORMAT:
        yield f"it has hash format {record.hash_format}, and this version knows {FORMAT}"
        return
    if output_hash(record.result) != record.output_hash:
        yield "its output, or what is stored beside it, was changed: it does not give the output hash"
    if definition_hash(record.components) != record.definition_hash:
        yield "its components were changed: they do not give the definition hash"
    if input_hash(record.definition_hash, record.context_hash, record.occurrence) != record.input_hash:
        yield "its input hash is not that of its definition, context and occurrence"


def record_page(tx: Transaction, after: int) -> tuple[list[Problem], list[tuple[int, NewRecord]], int | None]:
    """The problems of some records, those that could be read, and where the next page begins."""
    problems: list[Problem] = []
    readable: list[tuple[int, NewRecord]] = []
    rows = tx.rows(_RECORDS, {"a": after}).all()
    for row in rows:
        try:
            record = record_of(row)
        except StoreError as error:
            problems.append(_problem(row, str(error)))
            continue
        readable.append((row["record_id"], record))
        problems += [_problem(row, what) for what in what_is_wrong(record)]
    return problems, readable, rows[-1]["record_id"] if len(rows) == _PAGE else None


def change_problems(tx: Transaction) -> Iterator[Problem]:
    """Answers of people and their entries that do not fit each other."""
    for row in tx.rows(_GIVEN):
        number = row["change_id"]
        if number is None:
            yield _problem(row, "it says that a person gave it, and no entry of the table change does")
        elif row["origin"] != PERSON:
            yield _problem(row, f"change {number} says that a person gave it, and it does not")
        elif (row["output_hash"], row["person"]) != (row["hash_after"], row["changed_by"]):
            yield _problem(row, f"it is not the answer that change {number} says was given, or not by whom")


def text_page(tx: Transaction, after: str) -> tuple[dict[str, str], str | None]:
    """Some of the texts by their hashes, and where the next page begins."""
    found = {row["sha256"]: row["body"] for row in tx.rows(_TEXTS, {"a": after})}
    return found, max(found) if len(found) == _PAGE else None


def input_problems(tx: Transaction, altered: Collection[str]) -> Iterator[Problem]:
    """Inputs of runs that are no longer what was written."""
    for row in tx.rows(_INPUTS):
        try:
            names = [each.name for each in inputs_of(row, {}) or () if each.sha256 in altered]
        except (AttributeError, TypeError, ValueError) as error:
            yield Problem(None, row["workflow_id"], None, f"what it was given cannot be read ({error})", row["run_id"])
            continue
        for name in names:
            what = f"the stored text of its input {name!r} was changed: it does not give its hash"
            yield Problem(None, row["workflow_id"], None, what, row["run_id"])


def altered_texts(texts: Mapping[str, str]) -> set[str]:
    """The hashes whose text does not give them."""
    return {sha256 for sha256, body in texts.items() if not gives(body, sha256)}


def text_problem(record_id: int, record: NewRecord, component: Component) -> Problem:
    """A text that explains a component was changed; the record itself is served all the same."""
    what = f"the stored text of {component.path} was changed: it does not give its hash"
    return Problem(record_id, record.workflow_id, record.task_name, what)


def _problem(row: Mapping[str, object], what: str) -> Problem:
    return Problem(int(str(row["record_id"])), str(row["workflow_id"]), str(row["task_name"]), what)
