"""Full disks, damaged files, jumping clocks, a killed server: an error or a re-execution, never a wrong answer."""

from __future__ import annotations

import random
import resource
import shutil
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from crew_repo import RunStatus, StateRepository
from crew_repo.errors import CrewRepoError, StoreError
from crew_repo.store import Store
from tests import postgres
from tests.crash.lives import TASKS, build, expected, inputs_of, live_batch
from tests.crash.server import Ledger
from tests.permissions import obey_permissions
from tests.processes import begin

pytestmark = pytest.mark.siege

CLAIMS = [f"claim-{number}" for number in range(4)]
ALL = {(claim, task) for claim in CLAIMS for task in TASKS}


def url_of(file: Path) -> str:
    return f"sqlite:///{file}"


def finished(file: Path) -> set[tuple[str, str]]:
    """The (claim, task) that have a record."""
    return named(file, "record", "retired IS NULL")


def inside(file: Path) -> set[tuple[str, str]]:
    """The (claim, task) that have no record, and the answer of their model."""
    return named(file, "kept_call", "kind = 'model'")


def named(file: Path, table: str, which: str) -> set[tuple[str, str]]:
    """The (claim, task) of rows of a table; none where it is not there."""
    if not file.exists():
        return set()
    with closing(sqlite3.connect(file)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", [table]).fetchone():
            return set()
        return set(connection.execute(f"SELECT workflow_id, task_name FROM {table} WHERE {which}"))


def batch(repo: StateRepository, ledger: Ledger, claims: list[str] = CLAIMS, **options: Any) -> list[Any]:
    return repo.run_for_each(
        partial(build, ledger.base_url), inputs_of(claims), workflow_ids=claims, max_workers=2, **options
    )


def one_by_one(repo: StateRepository, ledger: Ledger, claims: list[str]) -> Iterator[Any]:
    """The results of a batch; two to four of its items have begun, and no more, when the first result is read."""
    return repo.iter_for_each(
        partial(build, ledger.base_url), inputs_of(claims), workflow_ids=claims, max_workers=2
    )


def told(folder: Path, work: Callable[..., Any], *arguments: Any) -> str:
    """What a process of its own was told when its work failed; empty if it did not."""
    report = folder / "report.txt"
    report.unlink(missing_ok=True)
    process = begin(report, work, *arguments)
    process.join()
    assert process.exitcode in (0, 1)
    return report.read_text().splitlines()[0] if report.exists() else ""


def live_with_little_room(size: int, *arguments: Any) -> None:
    """A batch in a process whose files cannot grow beyond a size, as on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    live_batch(*arguments)


@pytest.mark.parametrize("room", [36_000, 50_000, 70_000, 90_000])
def test_a_full_disk_is_a_clear_error_and_nothing_is_lost(tmp_path: Path, ledger: Ledger, room: int) -> None:
    """Wherever the room ends: the error says so, and with more room nothing is asked for again that was recorded.

    Nor an answer that was kept inside a task whose record had no room.
    """
    file = tmp_path / "state.db"
    error = told(tmp_path, live_with_little_room, room, url_of(file), ledger.base_url, CLAIMS)
    assert error.startswith(("StoreFullError", "StoreOpenError")), error
    assert "room" in error or "space" in error
    kept, since = finished(file), ledger.position()
    answered = inside(file)
    assert told(tmp_path, live_batch, url_of(file), ledger.base_url, CLAIMS) == ""
    assert set(ledger.requests(since)) == ALL - kept - answered
    assert (finished(file), Store(url_of(file)).verify()) == (ALL, [])


def live_read_only(*arguments: Any) -> None:
    """What can be asked is answered; a batch is refused."""
    obey_permissions()
    with StateRepository(arguments[0]) as repo:
        assert len(repo.runs()) == 1
        assert repo.verify() == []
        assert repo.plan(build(arguments[1]), {"claim": CLAIMS[0]}, workflow_id=CLAIMS[0]).fresh == list(TASKS)
    live_batch(*arguments)


@pytest.mark.parametrize("modes", [(0o400, 0o700), (0o400, 0o500), (0o600, 0o500)])
def test_a_read_only_file_can_be_asked_but_not_run_on(tmp_path: Path, ledger: Ledger, modes: tuple[int, int]) -> None:
    """File, folder, or both: a clear error before any request; with the permissions back it goes on."""
    folder = tmp_path / "state"
    folder.mkdir()
    file = folder / "state.db"
    live_batch(url_of(file), ledger.base_url, CLAIMS[:1])
    since = ledger.position()
    file.chmod(modes[0])
    folder.chmod(modes[1])
    error = told(tmp_path, live_read_only, url_of(file), ledger.base_url, CLAIMS)
    folder.chmod(0o700)
    file.chmod(0o600)
    assert error.startswith("Store"), error
    assert "read-only" in error or "permissions" in error
    assert not ledger.requests(since)
    live_batch(url_of(file), ledger.base_url, CLAIMS)
    assert set(ledger.requests(since)) == ALL - {(CLAIMS[0], task) for task in TASKS}


def live_made_read_only(*arguments: Any) -> None:
    """A batch that may not write its file, nor beside it, by any new opening."""
    obey_permissions()
    url, folder, server, claims = arguments
    with StateRepository(url) as repo:
        for result in repo.iter_for_each(partial(build, server), inputs_of(claims), workflow_ids=claims):
            for path, mode in ((Path(folder) / "state.db", 0o400), (Path(folder), 0o500)):
                path.chmod(mode)
            assert result.run.status is RunStatus.COMPLETED


def test_a_file_made_read_only_during_a_run_stops_nothing(tmp_path: Path, ledger: Ledger) -> None:
    """What is open stays writable, as with any file: the batch ends well, and every record is there."""
    folder = tmp_path / "state"
    folder.mkdir()
    error = told(tmp_path, live_made_read_only, url_of(folder / "state.db"), str(folder), ledger.base_url, CLAIMS)
    folder.chmod(0o700)
    assert error == ""
    assert finished(folder / "state.db") == ALL


def test_a_file_deleted_under_a_running_batch_is_a_clear_error(tmp_path: Path, ledger: Ledger) -> None:
    """Nothing is written into a file that nobody will see; the next batch begins a new one."""
    file = tmp_path / "state.db"

    with StateRepository(url_of(file)) as repo:
        with pytest.raises(StoreError, match=r"was deleted or replaced|does not have the run|has no run"):
            for _ in one_by_one(repo, ledger, CLAIMS * 3):
                for part in tmp_path.glob("state.db*"):
                    part.unlink(missing_ok=True)
        assert [result.raw for result in batch(repo, ledger)] == expected(CLAIMS)
        assert repo.verify() == []
    assert finished(file) == ALL


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state file with the records of two claims, complete in itself."""
    from tests.crash.server import serving

    folder = tmp_path_factory.mktemp("sound")
    with serving(folder) as ledger, StateRepository(folder / "state.db") as repo:
        batch(repo, ledger, CLAIMS[:2])
    assert not (folder / "state.db-wal").exists()
    return folder / "state.db"


def zeros(data: bytearray, at: int, _: random.Random) -> None:
    data[at : at + 4096] = bytes(4096)


def noise(data: bytearray, at: int, chance: random.Random) -> None:
    data[at : at + 4096] = chance.randbytes(4096)


def another_page(data: bytearray, at: int, chance: random.Random) -> None:
    source = chance.randrange(len(data) // 4096) * 4096
    data[at : at + 4096] = data[source : source + 4096]


def one_letter(data: bytearray, at: int, _: random.Random) -> None:
    """In an answer, if the page has one."""
    found = data.find(b" of claim-", at, at + 4096)
    if found > 0:
        data[found + 1 : found + 3] = b"if"


def try_damaged(file: Path, ledger: Ledger) -> str:
    """`error` or `right`: what a batch on a damaged file comes to; a wrong answer fails."""
    try:
        with StateRepository(file) as repo:
            results = batch(repo, ledger, CLAIMS[:2])
    except CrewRepoError as error:
        return "error" if str(file) in str(error) else f"an error that does not name the file: {error}"
    assert [result.raw for result in results] == expected(CLAIMS[:2])
    return "right"


@pytest.mark.parametrize("spoil", [zeros, noise, another_page, one_letter])
def test_an_overwritten_page_never_gives_a_wrong_answer(
    sound: Path, tmp_path: Path, ledger: Ledger, spoil: Any
) -> None:
    """Eight pages, one at a time: an error that names the file, or the right answers, reused or executed again."""
    original, chance = sound.read_bytes(), random.Random(4)
    pages = [0, *chance.sample(range(1, len(original) // 4096), 7)]
    came_to = []
    for page in pages:
        data = bytearray(original)
        spoil(data, page * 4096, chance)
        folder = tmp_path / f"page-{page}"
        folder.mkdir()
        (folder / "state.db").write_bytes(data)
        came_to.append(try_damaged(folder / "state.db", ledger))
        shutil.rmtree(folder)
    assert set(came_to) <= {"error", "right"}
    assert spoil is one_letter or came_to[0] == "error"


@pytest.mark.parametrize("part", [0.0, 0.001, 0.1, 0.5, 0.9])
def test_a_truncated_file_never_gives_a_wrong_answer(sound: Path, tmp_path: Path, ledger: Ledger, part: float) -> None:
    """Cut off anywhere: an error that names the file; an empty file is a new one."""
    original = sound.read_bytes()
    file = tmp_path / "state.db"
    file.write_bytes(original[: int(len(original) * part)])
    assert try_damaged(file, ledger) == ("right" if part == 0.0 else "error")


def jumping(url: str) -> StateRepository:
    """A repository whose clock jumps by up to a day, either way, each time it is looked at."""
    chance, repo = random.Random(5), StateRepository(url, lease_seconds=2)
    repo._engine.store._database._clock = lambda: datetime.now(timezone.utc) + timedelta(hours=chance.uniform(-24, 24))
    return repo


def test_a_clock_that_jumps_costs_at_most_a_re_execution(url: str, ledger: Ledger) -> None:
    """Leases run out at once or not at all: the answers are right, the records whole, and the next batch is free."""
    claims = ["one"] * 4 + ["two"] * 4
    with jumping(url) as repo:
        results = repo.run_for_each(partial(build, ledger.base_url), inputs_of(claims), max_workers=4)
        assert [result.raw for result in results] == expected(claims)
        assert repo.verify() == []
        assert repo._store.workflow_ids() == ["claims"]
        since = ledger.position()
        again = repo.run_for_each(partial(build, ledger.base_url), inputs_of(claims), max_workers=4)
    assert [result.raw for result in again] == expected(claims)
    assert not ledger.requests(since)


def test_a_killed_postgresql_is_a_clear_error_and_the_batch_goes_on(ledger: Ledger) -> None:
    """Its processes are killed in the middle of a batch; after a restart only what was never asked for is.

    Leases that could not be given back keep nobody waiting: here they would for an hour.
    """
    with postgres.running() as server, StateRepository(postgres.url_of(server), lease_seconds=3600) as repo:
        with pytest.raises(StoreError, match=r"lost|cannot be reached") as raised:
            results = one_by_one(repo, ledger, CLAIMS * 2)
            next(results)
            kill(server)
            list(results)
        assert "what had finished is kept" in str(raised.value)
        server.start()
        asked = set(ledger.requests())
        since = ledger.position()
        assert [result.raw for result in batch(repo, ledger)] == expected(CLAIMS)
        assert set(ledger.requests(since)) == ALL - asked  # also what could not be recorded then
        # the second run may have had no server to be written to
        assert {run.status for run in repo.runs()} - {RunStatus.FAILED} == {RunStatus.COMPLETED}
        assert repo.verify() == []


def kill(server: Any) -> None:
    """SIGKILL to the server and its children."""
    postmaster = server.get_postmaster_info().process
    everyone = [postmaster, *postmaster.children(recursive=True)]
    for process in everyone:
        with suppress(psutil.NoSuchProcess):  # one that has seen the postmaster go, and has gone itself
            process.send_signal(signal.SIGKILL)
    psutil.wait_procs(everyone)
