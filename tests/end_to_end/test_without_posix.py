"""Nothing ends in an AttributeError where the system is no POSIX one. CI has mypy look for such names as well."""

from __future__ import annotations

import os

import pytest

from crew_repo import StateRepository, TaskPolicy
from tests import crews
from tests.crews import NOTES

pytestmark = pytest.mark.siege

# What `os` has on Linux and macOS, and not on Windows.
POSIX = [
    *("chown", "chroot", "fchdir", "fchmod", "fchown", "fork", "forkpty", "getegid", "geteuid", "getgid", "getgroups"),
    *("getloadavg", "getpgid", "getpgrp", "getpriority", "getresuid", "getsid", "getuid", "killpg", "lchown", "mkfifo"),
    *("nice", "pread", "pwrite", "register_at_fork", "sched_getaffinity", "setsid", "statvfs", "sysconf", "uname"),
    *("O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "O_SYNC"),
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder on a system without the names."""
    monkeypatch.chdir(tmp_path)
    for name in POSIX:
        monkeypatch.delattr(os, name, raising=False)
    return tmp_path


@pytest.mark.parametrize("is_there", [False, True], ids=["no file", "an empty file"])
def test_a_state_lives_where_the_system_has_no_users_and_no_fork(folder, model, is_there):
    """Creating, running, planning, copying, exporting, importing and pruning need no name of POSIX."""
    (folder / "terms.txt").write_text("excess 500")
    if is_there:
        (folder / "state.db").touch()
    crew = crews.sequential_unspecified_context(model)
    with StateRepository("state.db", policies={"*": TaskPolicy(files=("*.txt",))}) as repo:
        assert repo.run(crew, NOTES).run.executed == ["analyze", "draft"]
        assert repo.run(crew, NOTES).run.reused == ["analyze", "draft"]
        assert str(repo.plan(crew, NOTES)).count("fresh") >= 2
        repo.backup("copy.db")
        repo.export_json("export.jsonl")
        assert repo.prune(keep_last=0).runs == 1, "the older run of the two"
    with StateRepository("copy.db") as copy, StateRepository("taken.db") as taken:
        assert copy.verify() == []
        assert taken.import_json("export.jsonl") == 2
