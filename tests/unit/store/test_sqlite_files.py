"""The file itself: what cannot be opened, what breaks on the way, and who may read it."""

from __future__ import annotations

import itertools
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
from contextlib import closing
from pathlib import Path

import pytest

from crew_repo import StateRepository
from crew_repo.errors import StoreBusyError, StoreError, StoreFullError, StoreOpenError
from crew_repo.model import RunStatus
from crew_repo.store import Store, schema
from crew_repo.store.sqlite import APPLICATION_ID
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


def test_what_was_opened_to_write_is_not_asked_again_how_it_may_be_opened(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stays writable, so a write, as of each call inside a task, looks only whether the file is still the same."""
    with Store(_url(path)) as store:
        kit = Kit(store)
        kit.start(run_id="before")
        monkeypatch.setattr("crew_repo.store.state_file.os.access", None)
        kit.start(run_id="after")


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
    """The driver itself, which any index has."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(StoreOpenError, match=r"pip install 'psycopg\[binary\]'"):
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


def test_a_damaged_name_that_is_no_text_is_a_clear_error(path: Path) -> None:
    """SQLite says the name of a table or index whose definition it cannot read, whatever bytes that has."""
    content = path.read_bytes().replace(b"CREATE UNIQUE INDEX task_run_place", b"CREATE UNIQUE UNIQU task_run_place")
    path.write_bytes(content.replace(b"task_run_place", b"task_run_\xff\xfeace"))
    with pytest.raises(StoreOpenError, match=r"crew_state\.db has text that is no UTF-8; it is damaged"):
        Store(_url(path))


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


def test_a_finished_task_takes_little_more_than_its_texts(path: Path) -> None:
    """An answer of 2 KB with all that is recorded of its task takes less than 4 KB, the hundredth as the tenth."""
    sizes = []
    with Store(_url(path)) as store:
        run_id = Kit(store).start(run_id="run-2")
        for n in range(100):
            Kit(store).execute(new_record(f"t{n}", "x" * 2048, template=f"T{n}", position=n, run_id=run_id))
            if n % 45 == 9:
                store.prune()  # which empties the -wal
                sizes.append(path.stat().st_size)
    each = [(after - before) / 45 for before, after in itertools.pairwise(sizes)]
    assert max(each) < 4096
    assert max(each) < 1.2 * min(each)


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
    old, new = schema.CURRENT.version, schema.CURRENT.version + 1
    revision = f"revision, down_revision = '{new:04}', '{old:04}'\n\ndef upgrade(): pass\n"
    (folder / f"{new:04}_nothing.py").write_text(revision)
    with monkeypatch.context() as patch:
        patch.setattr(schema, "CURRENT", schema.Schema(new, (*schema.CURRENT.migrations, folder)))
        Store(_url(path)).close()
    copy = path.with_name(f"crew_state.db.v{old}.bak")
    assert copy.stat().st_mode & 0o777 == 0o600
    assert sorted(file.name for file in tmp_path.glob("*.*")) == ["crew_state.db", copy.name]
    with Store(_url(copy)) as store:
        assert len(store.states()) == 1


@pytest.mark.siege
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


@pytest.mark.siege
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


@pytest.mark.siege
def test_a_folder_without_permission_is_refused(open_folder: Path) -> None:
    """On opening, before any model is called."""
    open_folder.chmod(0o555)
    said = _as_another_user("Store(url)", _url(open_folder / "state.db"))
    assert "StoreOpenError" in said
    assert "is not writable" in said


@pytest.mark.siege
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


@pytest.mark.siege
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


def test_a_plain_copy_of_an_open_file_has_what_finished_runs_recorded(tmp_path: Path) -> None:
    """Also while a reader is there, and of a run that failed; no run waits for it."""
    path = tmp_path / "state.db"
    with Store(_url(path)) as store:
        kit = Kit(store)
        kit.run(new_record())
        shutil.copy(path, tmp_path / "one.db")
        reader = sqlite3.connect(path, isolation_level=None)
        reader.execute("BEGIN")
        assert reader.execute("SELECT COUNT(*) FROM record").fetchone() == (1,)
        kit.run(new_record("draft", template="D"))
        reader.close()
        kit.finish(kit.start(), RunStatus.FAILED)
        shutil.copy(path, tmp_path / "two.db")
    for name, tasks in (("one", ["extract"]), ("two", ["extract", "draft"])):
        with Store(_url(tmp_path / f"{name}.db")) as copy:
            assert sorted(copy.task_names()) == sorted(tasks)
            assert copy.verify() == []


def test_a_plain_copy_in_the_middle_of_the_first_run_is_a_state(tmp_path: Path) -> None:
    """The tables are in the file itself before anything is recorded."""
    path = tmp_path / "state.db"
    with Store(_url(path)) as store:
        Kit(store).start()
        shutil.copy(path, tmp_path / "copy.db")
    assert sqlite3.connect(tmp_path / "copy.db").execute("SELECT COUNT(*) FROM record").fetchone() == (0,)


def _without_wal(path: Path, *, mark: int) -> None:
    """Makes what a copy of an open file was like when everything was in its WAL."""
    source = sqlite3.connect(path.with_name("source.db"), isolation_level=None)
    if mark:
        source.execute(f"PRAGMA application_id={mark}")
    source.execute("PRAGMA journal_mode=WAL")
    source.execute("CREATE TABLE run (run_id)")
    shutil.copy(path.with_name("source.db"), path)
    source.close()


@pytest.mark.parametrize("mark", [0, APPLICATION_ID])
def test_a_file_whose_tables_are_in_a_wal_that_is_not_there_is_refused(tmp_path: Path, mark: int) -> None:
    """It is not taken for a new one, which would execute everything again; it stays as it was."""
    copy = tmp_path / "copy.db"
    _without_wal(copy, mark=mark)
    before = copy.read_bytes()
    with pytest.raises(StoreOpenError, match=r"copied while a program had it open.*backup"):
        Store(_url(copy))
    assert (copy.read_bytes(), [file.name for file in tmp_path.glob("copy.db*")]) == (before, ["copy.db"])


@pytest.mark.parametrize("was", ["never there", "dropped"])
def test_our_file_without_tables_is_refused(path: Path, was: str) -> None:
    """Whatever took them away, it is not taken for a new one."""
    file = path if was == "dropped" else path.with_name("empty.db")
    connection = sqlite3.connect(file)
    connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
    if was == "dropped":
        tables = ("lease", "task_run", "record", "run_entry", "text", "invalidation", "crew_repo_schema")
        connection.executescript("DROP VIEW task_state; DROP VIEW run; DROP VIEW task_lease; DROP VIEW known_task;"
        "DROP VIEW run_silent; DROP VIEW lease_over; DROP VIEW crew_task; DROP VIEW record_inputs;" + "".join(f"DROP TABLE {table};" for table in tables))
    connection.close()
    with pytest.raises(StoreOpenError, match="has no tables"):
        Store(_url(file))


@pytest.mark.parametrize("name", ["a b.db", "a?b=c.db", "a#b.db", "a%20b.db"])
def test_a_repository_on_a_strange_path_travels_to_other_processes(tmp_path: Path, name: str) -> None:
    """What is a path stays one."""
    with StateRepository(tmp_path / name) as repo:
        assert pickle.loads(pickle.dumps(repo)).url == repo.url


def test_a_backup_has_everything_recorded_by_now(path: Path, tmp_path: Path) -> None:
    """Of a run that goes on too; only this user may read it, and the run does not notice."""
    target = tmp_path / "backups" / "a b?c#d.db"
    target.parent.mkdir()
    with Store(_url(path)) as store:
        kit = Kit(store)
        kit.start(run_id="going-on")
        kit.execute(new_record("draft", template="D", run_id="going-on"))
        before = os.umask(0)
        store.copy(target)
        os.umask(before)
        kit.finish("going-on")
    assert ([file.name for file in target.parent.iterdir()], target.stat().st_mode & 0o777) == ([target.name], 0o600)
    with Store(_url(target)) as copy:
        assert {state.task_name for state in copy.states()} == {"extract", "draft"}
        Kit(copy).start(run_id="next")
        assert sqlite3.connect(target).execute("SELECT COUNT(*) FROM lease").fetchone() == (0,)
        assert sqlite3.connect(target).execute("PRAGMA journal_mode").fetchone() == ("wal",)
        Kit(copy).finish("next")


def test_a_backup_overwrites_nothing(path: Path, tmp_path: Path) -> None:
    """A file, a link that leads nowhere, a folder that is not there: each is named, and nothing is left behind."""
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with Store(_url(path)) as store, Store(_url(tmp_path / "new.db")) as new:
        for target, said in ((path, "is there already"), (tmp_path / "link", "is there already"),
                             (tmp_path / "no" / "copy.db", "cannot be written: No such file")):  # fmt: skip
            with pytest.raises(StoreError, match=said):
                store.copy(target)
        with pytest.raises(StoreError, match="nothing to copy yet"):
            new.copy(tmp_path / "copy.db")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["crew_state.db", "link"]


@pytest.mark.parametrize("version", ["current", "first"])
def test_a_dump_that_was_read_back_is_the_state(path: Path, tmp_path: Path, version: str) -> None:
    """With its version, its view and its triggers; numbers go on; the file gets our mark and WAL again."""
    restored = tmp_path / "restored.db"
    if version == "first":
        _make_first(path)
    source, target = sqlite3.connect(path), sqlite3.connect(restored)
    target.executescript("\n".join(source.iterdump()))
    source.close()
    target.execute("DROP VIEW IF EXISTS task_state")
    target.close()
    with Store(_url(restored)) as store:
        assert [state.output for state in store.states()] == ["policy 42"]
        assert store.verify() == []
        kit = Kit(store)
        kit.start(run_id="next")
        assert kit.execute(new_record("draft", template="D", run_id="next")).record_id > 1
        connection = sqlite3.connect(restored)
        assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        connection.execute("DELETE FROM task_state")
        connection.commit()
        connection.close()
        assert store.states() == []
    kept = [file.name for file in tmp_path.glob("restored.db.*")]
    assert kept == ([] if version == "current" else ["restored.db.v1.bak"])


def _make_first(path: Path) -> None:
    """Takes a state back to its first version."""
    connection = sqlite3.connect(path)
    connection.executescript(
        "DROP VIEW task_state; DROP VIEW run; DROP VIEW task_lease; DROP VIEW known_task;"
        "DROP VIEW run_silent; DROP VIEW lease_over; DROP VIEW crew_task; DROP VIEW record_inputs; DROP VIEW run_inputs;"
        "DROP TABLE held_answer; DROP TABLE kept_call; ALTER TABLE task_run DROP COLUMN model; ALTER TABLE task_run DROP COLUMN usage_by_model;"
        "UPDATE record SET components = json_patch(components, (SELECT json_extract(body, '$.components') FROM text"
        " WHERE sha256 = shared_hash)); ALTER TABLE record DROP COLUMN shared_hash;"
        "ALTER TABLE record DROP COLUMN usage_by_model; ALTER TABLE run_entry RENAME TO run;"
        "DROP TABLE crew_repo_schema; DROP TABLE invalidation; DROP INDEX run_number; DROP INDEX run_by_workflow;"
        "DROP TABLE change; DROP INDEX record_by_person; ALTER TABLE record DROP COLUMN person;"
        "ALTER TABLE run DROP COLUMN number; ALTER TABLE run DROP COLUMN task_names; ALTER TABLE run DROP COLUMN ordinal;"
        "ALTER TABLE run DROP COLUMN input_hashes; ALTER TABLE run DROP COLUMN source; ALTER TABLE run DROP COLUMN waits_for;"
        "ALTER TABLE record DROP COLUMN reading; ALTER TABLE record DROP COLUMN model;"
        "CREATE INDEX run_by_workflow ON run (workflow_id, started_at); PRAGMA user_version=1;"
    )
    connection.close()


@pytest.mark.siege
def test_a_read_only_dump_can_be_read(path: Path, open_folder: Path) -> None:
    """Nothing is put right in what this user may not write."""
    restored = open_folder / "restored.db"
    source, target = sqlite3.connect(path), sqlite3.connect(restored)
    target.executescript("\n".join(source.iterdump()))
    target.close()
    source.close()
    restored.chmod(0o444)
    open_folder.chmod(0o555)
    assert _as_another_user("print(len(Store(url).states()))", _url(restored)) == "1\n"


def test_a_link_to_the_file_is_followed(path: Path, tmp_path: Path) -> None:
    """Both names are one state; what SQLite keeps beside it lies beside the file, and is as private."""
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / "state.db"
    link.symlink_to(path)
    with Store(_url(link)) as store, Store(_url(path)) as direct:
        Kit(store).start(run_id="by-link")
        assert [run.run_id for run in direct.list_runs()] == ["by-link", "run-1"]
        assert [file.name for file in link.parent.iterdir()] == ["state.db"]
        assert {file.stat().st_mode & 0o777 for file in tmp_path.glob("crew_state.db*")} == {0o600}
        Kit(direct).finish("by-link")


def test_a_link_to_an_empty_file_begins_a_private_state(tmp_path: Path) -> None:
    """The file that the link leads to is the one that counts."""
    (tmp_path / "real.db").touch(0o644)
    (tmp_path / "link.db").symlink_to("real.db")
    with Store(_url(tmp_path / "link.db")) as store:
        Kit(store).run(new_record())
    assert (tmp_path / "real.db").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("target", ["nowhere.db", "link.db", "no/where.db"])
def test_a_link_that_leads_nowhere_is_refused(tmp_path: Path, target: str) -> None:
    """On opening, and later, when somebody has taken the file away; nothing is created."""
    (tmp_path / "link.db").symlink_to(target)
    with pytest.raises(StoreOpenError, match=r"link\.db is a link to .*, which is not there"):
        Store(_url(tmp_path / "link.db"))
    assert [file.name for file in tmp_path.iterdir()] == ["link.db"]


def test_a_file_with_two_names_is_said_to_be_in_danger(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """SQLite keeps what is new beside each name: two names are two states that spoil one file."""
    path.with_name("other.db").hardlink_to(path)
    Store(_url(path)).close()
    assert "a hard link" in caplog.text


def test_a_dump_of_the_schema_alone_is_no_state(path: Path, tmp_path: Path) -> None:
    """It has our tables and not a row, so nobody can know what it was."""
    with closing(sqlite3.connect(path)) as whole, closing(sqlite3.connect(tmp_path / "bare.db")) as bare:
        bare.executescript("\n".join(line for line in whole.iterdump() if not line.startswith("INSERT")))
    with pytest.raises(StoreOpenError, match="no rows"):
        Store(_url(tmp_path / "bare.db"))
