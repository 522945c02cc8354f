"""Whether the owner of a lease is still there."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from crew_repo.store import process_identity
from crew_repo.store.process_identity import is_alive, pid_of, this_owner

_FIELDS = ("host", "pid", "start", "boot", "namespace", "machine")


def _owner(**changes: str) -> str:
    return ":".join((dict(zip(_FIELDS, this_owner().split(":"), strict=True)) | changes).values())


def _owner_of_child(*, wait: bool) -> str:
    code = "from crew_repo.store.process_identity import this_owner; print(this_owner(), flush=True)"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    owner = child.stdout.readline().strip()
    child.stdout.read()
    if wait:
        child.wait()
    else:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    return owner


def test_this_process_is_alive() -> None:
    """And its number can be read from its owner text."""
    assert is_alive(this_owner()) is True
    assert pid_of(this_owner()) == os.getpid()


def test_another_living_process_is_alive() -> None:
    """The parent of this one is at work."""
    start = process_identity._state_and_start(os.getppid())
    assert start is not None
    assert is_alive(_owner(pid=str(os.getppid()), start=start[1])) is True


@pytest.mark.parametrize("wait", [True, False])
def test_a_process_that_ended_is_dead(wait: bool) -> None:
    """Also as a zombie, for which nobody has waited yet."""
    assert is_alive(_owner_of_child(wait=wait)) is False


def test_a_number_in_use_again_is_another_process() -> None:
    """The same process number with another start time."""
    assert is_alive(_owner(start="1")) is False


@pytest.mark.parametrize(
    "changes",
    [
        {"host": "elsewhere"}, {"namespace": "1"}, {"host": "elsewhere", "start": "1"}, {"boot": ""},
        {"boot": "x", "machine": "y"}, {"boot": "x", "namespace": "1"}, {"namespace": "", "start": "1"},
    ],
)  # fmt: skip
def test_what_cannot_be_known_is_not_called_dead(changes: dict[str, str]) -> None:
    """Another host, another container, another machine of the same name: only time can tell."""
    assert is_alive(_owner(**changes)) is None


def test_after_a_restart_of_the_machine_all_are_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same machine, another boot; but only outside of containers."""
    here = process_identity._parse(this_owner())
    assert here is not None
    monkeypatch.setattr(process_identity, "_parse", lambda text: here._replace(boot="before", namespace="4026531836", machine="m")
                        if text == "old" else here._replace(namespace="4026531836", machine="m"))  # fmt: skip
    assert is_alive("old") is False


@pytest.mark.parametrize("text", ["", "nobody", "a:b:c:d:e:f", "a:1:2"])
def test_a_text_that_is_no_owner_is_unknown(text: str) -> None:
    """A person may have edited it."""
    assert is_alive(text) is None
    assert pid_of(text) is None


def test_a_forked_child_is_another_owner() -> None:
    """It has another process number and start."""
    mine = this_owner()
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writing, this_owner().encode())
        os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(reading, 1000).decode() != mine
