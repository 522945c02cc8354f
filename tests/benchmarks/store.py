"""The store alone, with records that are ready, beside the same work by hand. By hand has its hashing in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from crew_repo.model import NewRecord, Outcome, TaskHead
from crew_repo.store import Store
from tests.benchmarks.by_hand import by_hand
from tests.benchmarks.chains import ANSWER
from tests.benchmarks.measuring import Row, Sizes, interleaved
from tests.conformance.kit import Kit, new_record, task_run

__all__ = ["rows"]

BESIDE = (
    ("store cold", "by hand cold", "2.5"),
    ("store cold", "by hand cold, FULL", ""),
    ("store cold, NORMAL", "by hand cold", ""),
    ("store warm", "by hand warm", "2"),
)
"""What is beside what, and how many times as long it should take at most."""


def rows(sizes: Sizes, rounds: int) -> Iterator[Row]:
    """What a step costs: by hand, with SQLite's synchronous as NORMAL and as FULL, which ours is; and in the store."""
    for steps in sizes.tasks:
        times = interleaved(rounds, lambda folder, _: _round(folder, steps))  # noqa: B023
        for name in ("by hand cold, FULL", "by hand cold", "by hand warm"):
            yield times.row(name, each=steps, unit="ms a step").named(f"{name}, {steps:,} steps")
        for name, to, target in BESIDE:
            row = times.row(name, to=to, each=steps, unit="ms a step", target=target)
            yield row.named(f"{name}, {steps:,} steps")


def _round(folder: Path, steps: int) -> Iterator[tuple[str, Any]]:
    yield "by hand cold, FULL", lambda: by_hand(folder / "full.db", steps, synchronous="FULL")
    yield "by hand cold", lambda: by_hand(folder / "hand.db", steps, synchronous="NORMAL")
    records = [_record(number) for number in range(steps)]
    with Store(f"sqlite:///{folder / 'normal.db'}", synchronous="NORMAL") as store:
        normal = Kit(store)
        normal.run(new_record())
        yield "store cold, NORMAL", lambda: _cold(normal, records)
    with Store(f"sqlite:///{folder / 'state.db'}") as store:
        kit = Kit(store)
        kit.run(new_record())
        yield "store cold", lambda: _cold(kit, records)
        yield "by hand warm", lambda: by_hand(folder / "hand.db", steps, synchronous="NORMAL")
        yield "store warm", lambda: _warm(kit, records)


def _record(number: int) -> NewRecord:
    name = f"step-{number}"
    return new_record(name, f"{ANSWER}{number}", run_id="cold", template=name, context=ANSWER, position=number)


def _cold(kit: Kit, records: Sequence[NewRecord]) -> None:
    _begin(kit, "cold")
    for record in records:
        kit.execute(record)
    kit.finish("cold")


def _warm(kit: Kit, records: Sequence[NewRecord]) -> None:
    heads = _begin(kit, "warm")
    notes = []
    for new in records:
        record = heads[new.task_name].record
        assert record is not None
        assert record.input_hash == new.input_hash
        notes.append(task_run(new, Outcome.REUSED, run_id="warm", record_id=record.record_id))
    kit.finish("warm", tasks=notes)


def _begin(kit: Kit, run_id: str) -> Mapping[str, TaskHead]:
    """What a run reads before its first task."""
    kit.start(run_id=run_id)
    return kit.store.at_start("claim-1", everywhere=False)[0]
