"""What could not be written is tried again, and never given up in silence."""

from __future__ import annotations

import gc
import logging
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest

from crew_repo.errors import StoreBusyError
from crew_repo.runner import heartbeat as keeper_module
from crew_repo.runner.heartbeat import Keeper
from crew_repo.store import Store


def test_what_is_tried_in_vain_is_named_once_and_keeps_nothing_else_waiting(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Three tries for each; what is owed beside it is written at the first."""
    tried: list[str] = []

    def refused() -> None:
        tried.append("refused")
        raise StoreBusyError("state.db is locked; try again")

    with Store(f"sqlite:///{tmp_path / 'state.db'}") as store:
        keeper = Keeper(store, 15.0)
        keeper.owe("task a", refused)
        keeper.owe("task b", lambda: tried.append("written"))
        for _ in range(4):
            keeper.pay_owed()
        keeper.settle()
    assert tried == ["refused", "written", "refused", "refused"]
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert errors == ["task a was tried 3 times and is lost"]


def test_what_is_owed_keeps_its_keeper_until_it_is_written(tmp_path: Path) -> None:
    """A repository that nobody has closed still writes what it owes when the process ends; else it may be forgotten."""
    written: list[str] = []
    store = Store(f"sqlite:///{tmp_path / 'state.db'}")
    keeper, clean = Keeper(store, 15.0), Keeper(store, 15.0)
    clean.forgive(clean.owe("task b", lambda: None))
    keeper.owe("task a", lambda: written.append("a"))
    kept = [weakref.ref(keeper), weakref.ref(clean)]
    del keeper, clean
    gc.collect()
    assert [each() is not None for each in kept] == [True, False]
    keeper_module._settle_all()
    gc.collect()
    assert (written, kept[0]()) == (["a"], None)
    store.close()


@pytest.mark.parametrize("way", [Keeper.pay_owed, Keeper.settle])
def test_an_interrupt_while_writing_loses_nothing_that_is_owed(tmp_path: Path, way: Callable[[Keeper], None]) -> None:
    """Ctrl-C in the wait for a locked file: what was not written is still owed, in its order."""
    written: list[str] = []
    interrupts = [KeyboardInterrupt()]

    def first() -> None:
        if interrupts:
            raise interrupts.pop()
        written.append("first")

    with Store(f"sqlite:///{tmp_path / 'state.db'}") as store:
        keeper = Keeper(store, 15.0)
        keeper.owe("task a", first)
        keeper.owe("task b", lambda: written.append("second"))
        with pytest.raises(KeyboardInterrupt):
            way(keeper)
        keeper.settle()
    assert written == ["first", "second"]
