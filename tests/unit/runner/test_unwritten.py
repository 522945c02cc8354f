"""What could not be written is tried again, and never given up in silence."""

from __future__ import annotations

import gc
import logging
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest

from crew_repo.errors import RunGoneError, StoreBusyError, StoreFullError
from crew_repo.runner import unwritten as unwritten_module
from crew_repo.runner.unwritten import Unwritten
from crew_repo.store import Store


def test_what_is_tried_in_vain_is_named_once_and_keeps_nothing_else_waiting(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Three tries for each; what is owed beside it is written at the first."""
    tried: list[str] = []

    def refused() -> None:
        tried.append("refused")
        raise StoreBusyError("state.db is locked; try again")

    unwritten = Unwritten(Store(f"sqlite:///{tmp_path / 'state.db'}"))
    unwritten.owe("task a", refused)
    unwritten.owe("task b", lambda: tried.append("written"))
    for _ in range(4):
        unwritten.pay()
    unwritten.settle()
    assert tried == ["refused", "written", "refused", "refused"]
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert errors == ["task a was tried 3 times and is lost"]


def test_an_answer_is_not_given_up_before_the_process_ends(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """However often it was tried in vain; who would execute its work is told, and who would execute another is not."""
    full = [True]

    def refused() -> None:
        if full:
            raise StoreFullError("the disk is full")

    unwritten = Unwritten(Store(f"sqlite:///{tmp_path / 'state.db'}"))
    unwritten.owe("task a", refused, work=("claims", "1f"))
    for _ in range(5):
        unwritten.pay()
        unwritten.write_answer(("claims", "2e"))
        with pytest.raises(StoreFullError, match="task a is still to be written, so it is not executed again: the disk is full"):
            unwritten.write_answer(("claims", "1f"))
    full.clear()
    unwritten.write_answer(("claims", "1f"))
    assert not unwritten.pay()
    assert not [record for record in caplog.records if record.levelno > logging.WARNING]


def test_what_is_owed_of_a_run_that_is_gone_is_tried_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What could be kept of it is kept by then; nothing is called lost, and no repository is kept from closing."""
    tried: list[str] = []

    def gone() -> None:
        tried.append("gone")
        raise RunGoneError("state.db has no run r")

    unwritten = Unwritten(Store(f"sqlite:///{tmp_path / 'state.db'}"))
    unwritten.owe("the end of run r", gone)
    assert (unwritten.pay(), unwritten.pay()) == (True, False)
    unwritten.settle()
    assert (tried, [record.getMessage() for record in caplog.records if record.levelno > logging.INFO]) == (["gone"], [])


def test_what_is_owed_is_kept_until_it_is_written(tmp_path: Path) -> None:
    """A repository that nobody has closed still writes what it owes when the process ends; else it may be forgotten."""
    written: list[str] = []
    owing, clean = Unwritten(Store(f"sqlite:///{tmp_path / 'state.db'}")), Unwritten(Store(f"sqlite:///{tmp_path / 'state.db'}"))
    clean.forgive(clean.owe("task b", lambda: None))
    owing.owe("task a", lambda: written.append("a"))
    kept = [weakref.ref(owing), weakref.ref(clean)]
    del owing, clean
    gc.collect()
    assert [each() is not None for each in kept] == [True, False]
    unwritten_module._settle_all()
    gc.collect()
    assert (written, kept[0]()) == (["a"], None)


@pytest.mark.parametrize("way", [Unwritten.pay, Unwritten.settle])
def test_an_interrupt_while_writing_loses_nothing_that_is_owed(tmp_path: Path, way: Callable[[Unwritten], None]) -> None:
    """Ctrl-C in the wait for a locked file: what was not written is still owed, in its order."""
    written: list[str] = []
    interrupts = [KeyboardInterrupt()]

    def first() -> None:
        if interrupts:
            raise interrupts.pop()
        written.append("first")

    unwritten = Unwritten(Store(f"sqlite:///{tmp_path / 'state.db'}"))
    unwritten.owe("task a", first)
    unwritten.owe("task b", lambda: written.append("second"))
    with pytest.raises(KeyboardInterrupt):
        way(unwritten)
    unwritten.settle()
    assert written == ["first", "second"]
