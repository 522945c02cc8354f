"""The file itself: what cannot be opened, what breaks on the way, and who may read it."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from crew_repo.errors import StoreBusyError, StoreError, StoreFullError, StoreOpenError
from crew_repo.model import RunStatus
from crew_repo.store import Store, schema
from tests.conformance.kit import Kit, new_record


def _url(path: Path) -> str:
    return f"sqlite:///{path}"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that holds one finished run."""
    file = tmp_path / "crew_state.db"
    with Store(_url(file)) as store:
        Kit(store).run(new_record())
    return file


def test_looking_creates_nothing(tmp_path: Path) -> None:
    """Opening and reading a file that is not there leaves the folder empty; the first write creates it."""
    with Store(_url(tmp_path / "new.db")) as store:
        assert store.list_runs() == []
        assert list(tmp_path.iterdir()) == []
        Kit(store).start()
        assert len(store.list_runs()) == 1


def test_an_empty_file_is_a_new_one(tmp_path: Path) -> None:
    """As made by mktemp or touch."""
    (tmp_path / "new.db").touch()
    with Store(_url(tmp_path / "new.db")) as store:
        assert store.list_runs() == []
        Kit(store).run(new_record())


def test_two_stores_see_each_other(tmp_path: Path) -> None:
    """One that was opened before the file existed reads it as soon as it does."""
    with Store(_url(tmp_path / "new.db")) as first, Store(_url(tmp_path / "new.db")) as second:
        Kit(first).start()
        assert len(second.list_runs()) == 1


def test_strange_names(tmp_path: Path) -> None:
    """Blanks, question marks, percent and hash signs, other scripts: a path is a path."""
    file = tmp_path / "a b?c=d%20#é.db"
    with Store(_url(file)) as store:
        Kit(store).start()
    assert file.exists()


def test_only_the_user_may_read_it(path: Path) -> None:
    """Mode 600 for the file, the WAL and the shared memory, whatever the umask."""
    path.unlink()
    before = os.umask(0)
    try:
        with Store(_url(path)) as store:
            Kit(store).start()
            files = list(path.parent.iterdir())
            assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
            assert len(files) == 3
    finally:
        os.umask(before)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    """With what to give instead."""
    with pytest.raises(StoreOpenError, match="is a folder; give the path of a file"):
        Store(_url(tmp_path))


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    """It is not created unasked."""
    with pytest.raises(StoreOpenError, match=r"nowhere is no folder; create it"):
        Store(_url(tmp_path / "nowhere" / "state.db"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"hello", b"SQLite format 3\x00" + b"\xff" * 5000, b"x" * 100_000])
def test_what_is_no_sqlite_file_is_refused(tmp_path: Path, content: bytes) -> None:
    """And is left as it was."""
    file = tmp_path / "notes.txt"
    file.write_bytes(content)
    with pytest.raises(StoreOpenError, match=r"notes\.txt"):
        Store(_url(file))
    assert file.read_bytes() == content
    assert list(tmp_path.iterdir()) == [file]


def test_the_file_of_another_program_is_refused(tmp_path: Path) -> None:
    """Its tables stay alone."""
    file = tmp_path / "app.db"
    connection = sqlite3.connect(file)
    connection.execute("CREATE TABLE run (id)")
    connection.execute("PRAGMA user_version=1")
    connection.commit()
    connection.close()
    with pytest.raises(StoreOpenError, match="of another program"):
        Store(_url(file))


def test_another_kind_of_database_is_refused() -> None:
    """Naming what there is, and never showing a password."""
    with pytest.raises(StoreOpenError, match="not supported") as caught:
        Store("mysql://me:hunter2@host/db")
    assert "hunter2" not in str(caught.value)
    with pytest.raises(StoreOpenError, match="neither a path nor"):
        Store("what is this?")


def test_without_psycopg_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra that brings it."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(StoreOpenError, match=r"pip install 'crew-repo\[postgres\]'"):
        Store("postgresql+psycopg://me:hunter2@nowhere/db")


def test_no_server_is_an_error_of_opening() -> None:
    """With the address, without the password."""
    with pytest.raises(StoreOpenError, match=r"127\.0\.0\.1:1/") as caught:
        Store("postgresql://me:hunter2@127.0.0.1:1/db")
    assert "hunter2" not in str(caught.value)


def test_a_file_that_was_deleted_is_not_written_to(path: Path) -> None:
    """A run that goes on then fails with a clear error; the next run begins a new file."""
    with Store(_url(path)) as store:
        kit = Kit(store)
        kit.start(run_id="running")
        for file in path.parent.glob("crew_state.db*"):
            file.unlink()
        with pytest.raises(StoreError, match="was deleted or replaced while it was in use"):
            kit.lease(new_record(run_id="running"))
        assert store.list_runs() == []
        kit.finish(kit.start(run_id="next"))
        assert [run.run_id for run in store.list_runs()] == ["next"]


def test_a_file_that_was_replaced_is_noticed(path: Path, tmp_path: Path) -> None:
    """What is read is what is there now; a run does not go on in another file."""
    (tmp_path / "kept").mkdir()
    with Store(_url(path)) as store:
        store.prune()  # moves the WAL into the file
        shutil.copy(path, tmp_path / "kept" / "copy.db")
        kit = Kit(store)
        kit.start(run_id="running")
        (tmp_path / "kept" / "copy.db").replace(path)
        Path(f"{path}-wal").unlink()
        assert [run.run_id for run in store.list_runs()] == ["run-1"]
        with pytest.raises(StoreError, match=r"no run running|deleted or replaced"):
            kit.finish("running")


def test_a_damaged_page_is_a_clear_error(path: Path) -> None:
    """Never a wrong record: reading it fails, with the remedy, or verify names it."""
    with Store(_url(path)) as store:
        run_id = Kit(store).start(run_id="run-2")
        for n in range(50):
            Kit(store).execute(new_record(f"t{n}", "x" * 3000, template=f"T{n}", position=n, run_id=run_id))
        store.prune()
    content = bytearray(path.read_bytes())
    for start in range(4096 * 8, len(content) - 4096, 4096 * 4):
        content[start : start + 4096] = b"\xa5" * 4096
    path.write_bytes(bytes(content))
    with pytest.raises(StoreError, match=r"is damaged.*recover"), Store(_url(path)) as store:
        store.verify()


def test_a_truncated_file_is_a_clear_error(path: Path) -> None:
    """With the remedy."""
    with Store(_url(path)) as store:
        store.prune()
    os.truncate(path, path.stat().st_size // 2 // 4096 * 4096)
    with pytest.raises(StoreError, match=r"is damaged.*recover"), Store(_url(path)) as store:
        store.verify()


def test_a_locked_file_is_a_clear_error(path: Path) -> None:
    """After the busy timeout, and not before; reading goes on meanwhile."""
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with Store(_url(path), busy_timeout_seconds=0.2) as store:
        assert len(store.list_runs()) == 1
        with pytest.raises(StoreBusyError, match=r"locked by another process for more than 0.2 s"):
            Kit(store).start(run_id="next")
        holder.execute("ROLLBACK")
        Kit(store).start(run_id="next")
    holder.close()


def test_pruning_shrinks_the_file(path: Path) -> None:
    """Space of deleted records goes back to the file system, and the report says how much."""
    with Store(_url(path)) as store:
        kit = Kit(store)
        for number in range(20):
            kit._numbers = iter([f"large-{number}"])  # the file has a run-1 already
            kit.run(new_record(raw=f"{number}" * 50_000, template=f"T{number}"))
        store.prune()
        before = path.stat().st_size
        report = store.prune(keep_last=1)
        assert path.stat().st_size < before / 5
        assert (report.bytes_before, report.bytes_after) == (before, path.stat().st_size)


def test_a_copy_is_kept_before_a_migration(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Complete, openable by the old version, only for this user, and nothing else is left behind."""
    folder = tmp_path / "versions"
    folder.mkdir()
    (folder / "0003_nothing.py").write_text("revision, down_revision = '0003', '0002'\n\ndef upgrade(): pass\n")
    with monkeypatch.context() as patch:
        patch.setattr(schema, "CURRENT", schema.Schema(3, (*schema.CURRENT.migrations, folder)))
        Store(_url(path)).close()
    copy = path.with_name("crew_state.db.v2.bak")
    assert copy.stat().st_mode & 0o777 == 0o600
    assert sorted(file.name for file in tmp_path.glob("*.*")) == ["crew_state.db", "crew_state.db.v2.bak"]
    with Store(_url(copy)) as store:
        assert len(store.states()) == 1


def test_opening_a_current_file_imports_no_alembic(path: Path) -> None:
    """Nor crewai: looking at a state is quick."""
    script = f"""
        import sys
        from crew_repo.store import Store
        Store({_url(path)!r}).states()
        assert not {{"alembic", "crewai", "psycopg"}} & set(sys.modules)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True)


def _as_another_user(work: str, url: str) -> str:
    """Run Python code as a user that owns nothing; what it prints. Permissions do not bind root."""
    preface = "import os\nfrom crew_repo.store import Store\nfrom tests.conformance.kit import *\n"
    drop = "os.setgid(65534); os.setuid(65534)\n" if os.geteuid() == 0 else ""
    code = f"{preface}{drop}url={url!r}\ntry:\n{textwrap.indent(textwrap.dedent(work), '    ')}\n"
    code += "except Exception as error:\n    print(type(error).__name__, error)\n"
    return subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True).stdout


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users can reach, which pytest's own folders are not."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
        folder.chmod(0o755)


@pytest.mark.parametrize("folder_mode", [0o555, 0o777])
def test_a_read_only_file_can_be_read(path: Path, open_folder: Path, folder_mode: int) -> None:
    """Everything can be asked; the first write is a clear error that names the file."""
    file = open_folder / "state.db"
    shutil.copy(path, file)
    file.chmod(0o444)
    open_folder.chmod(folder_mode)
    work = """
        store = Store(url)
        print(len(store.states()), len(store.list_runs()), len(store.verify()))
        Kit(store).start(run_id="x")
    """
    said = _as_another_user(work, _url(file))
    assert said.startswith("1 1 0\n")
    assert "StoreError" in said
    assert "state.db is read-only" in said


def test_a_folder_without_permission_is_refused(open_folder: Path) -> None:
    """On opening, before any model is called."""
    open_folder.chmod(0o555)
    said = _as_another_user("Store(url)", _url(open_folder / "state.db"))
    assert "StoreOpenError" in said
    assert "is not writable" in said


def test_a_file_without_permission_is_refused(path: Path, open_folder: Path) -> None:
    """On opening."""
    file = open_folder / "state.db"
    shutil.copy(path, file)
    file.chmod(0o000)
    said = _as_another_user("Store(url)", _url(file))
    assert "StoreOpenError" in said
    assert "may not be read" in said


def _save_many(kit: Kit) -> None:
    for n in range(100):
        kit.execute(new_record(f"t{n}", "x" * 100_000, context=str(n), position=n, run_id="large"))


def _write_until_full(url: str) -> None:
    import resource

    with Store(url) as store:
        kit = Kit(store)
        kit.start(run_id="large")
        resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, resource.RLIM_INFINITY))
        with pytest.raises(StoreFullError, match="make room"):
            _save_many(kit)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert len(kit.finish("large").executed) == len(store.task_names()) > 0


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    """The save that finds no room fails clearly; all before it are there, and with room it goes on."""
    url = _url(tmp_path / "state.db")
    child = multiprocessing.get_context("spawn").Process(target=_write_until_full, args=(url,))
    child.start()
    child.join()
    assert child.exitcode == 0
    with Store(url) as store:
        assert store.verify() == []
        assert store.list_runs()[0].status is RunStatus.COMPLETED
    assert sqlite3.connect(tmp_path / "state.db").execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_settings_survive_pickle(path: Path) -> None:
    """The busy timeout is the same in a worker."""
    copy = pickle.loads(pickle.dumps(Store(_url(path), busy_timeout_seconds=0.25, lease_seconds=7)))
    assert (copy._options["busy_timeout_seconds"], copy._options["lease_seconds"]) == (0.25, 7)
