"""The power goes while a run writes to a SQLite file: what `synchronous` FULL and NORMAL promise."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from crew_repo import StateRepository
from crew_repo.errors import InputError
from crew_repo.store import Store
from tests.conformance.kit import Kit, new_record
from tests.crash.power import Disk, Step, powered

TASKS = 8


@dataclass(frozen=True)
class Found:
    """What is there after a power cut: whether the file is sound, and which tasks are recorded, in their order."""

    said_saved: list[str]
    sound: bool
    recorded: list[str]

    @property
    def lost(self) -> bool:
        return not {*self.said_saved} <= {*self.recorded}


def _run(folder: Path, synchronous: str) -> tuple[bytes, list[Step]]:
    """A file before a run, and what the run did to it."""
    path = folder / "state.db"
    with Store(f"sqlite:///{path}") as store:
        Kit(store).start(run_id="first")
    before = path.read_bytes()
    with powered(path) as steps, Store(f"sqlite:///{path}", synchronous=synchronous) as store:
        kit = Kit(store)
        kit.start(run_id="second")
        for number in range(TASKS):
            name = f"step-{number}"
            kit.execute(new_record(name, name * 500, run_id="second", template=name, position=number))
            steps.append(Step("saved", name))
        kit.finish("second")
    return before, steps


def _cuts(folder: Path, synchronous: str, share: float) -> Iterator[Found]:
    """What is found after power cuts at that share of all moments; before the first, and after the last, too."""
    random = Random(synchronous)
    before, steps = _run(folder, synchronous)
    disk, saved = Disk({"state.db": before}), []
    for number, step in enumerate(steps):
        disk.take(step)
        saved += [step.what] if step.kind == "saved" else []
        if random.random() < share or step.kind == "saved":
            there = folder / f"cut-{number}"
            there.mkdir()
            disk.cut(there, random)
            yield _found(there / "state.db", saved[:])


def _found(path: Path, saved: list[str]) -> Found:
    try:
        with closing(sqlite3.connect(path)) as connection:
            sound = connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            rows = connection.execute("SELECT task_name, output FROM record ORDER BY record_id").fetchall()
            noted = connection.execute("SELECT task_name FROM task_run ORDER BY record_id").fetchall()
        with Store(f"sqlite:///{path}") as store:
            sound = sound and store.verify() == [] and all(output == name * 500 for name, output in rows)
    except sqlite3.DatabaseError:
        return Found(saved, False, [])
    return Found(saved, sound and noted == [(name,) for name, _ in rows], [name for name, _ in rows])


SHARES = [pytest.param(0.04, id="some"), pytest.param(1.0, id="all", marks=pytest.mark.siege)]
ORDER = [f"step-{number}" for number in range(TASKS)]


@pytest.mark.parametrize("share", SHARES)
def test_with_full_every_finished_task_survives(tmp_path: Path, share: float) -> None:
    """Whenever the power goes: what the store said was saved is there, and the file is sound."""
    for found in _cuts(tmp_path, "FULL", share):
        assert found.sound
        assert not found.lost
        assert found.recorded == ORDER[: len(found.recorded)]


@pytest.mark.parametrize("share", SHARES)
def test_with_normal_the_last_tasks_may_be_lost_and_nothing_is_damaged(tmp_path: Path, share: float) -> None:
    """What is there is sound, whole, and all that was recorded up to some task."""
    every = list(_cuts(tmp_path, "NORMAL", share))
    assert all(found.sound and found.recorded == ORDER[: len(found.recorded)] for found in every)
    assert any(found.lost for found in every), "else this cuts no power"


def test_without_syncs_a_file_is_damaged(tmp_path: Path) -> None:
    """So these tests would see it, if what SQLite needs were not synced."""
    assert any(not found.sound for found in _cuts(tmp_path, "OFF", 0.1))


def test_synchronous_is_an_argument_or_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FULL if nobody says anything; a `.env` file may have it too; anything else is refused."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CREW_REPO_SYNCHRONOUS", raising=False)

    def chosen(given: str | None = None) -> str:
        with StateRepository("state.db", synchronous=given) as repo:
            return repo._engine.settings.synchronous

    assert chosen() == "FULL"
    (tmp_path / ".env").write_text("CREW_REPO_SYNCHRONOUS=normal\n")
    assert chosen() == "NORMAL"
    assert chosen("FULL") == "FULL"
    monkeypatch.setenv("CREW_REPO_SYNCHRONOUS", "OFF")
    with pytest.raises(InputError, match="synchronous is 'OFF'; give FULL"):
        chosen()
