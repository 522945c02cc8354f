"""A PostgreSQL that goes away in the middle; there is no such thing with a file."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from crew_repo.errors import StoreBusyError, StoreError
from crew_repo.store import Store
from tests import postgres
from tests.conformance.kit import Kit, new_record, task_run


def test_a_killed_server_is_a_clear_error_and_after_a_restart_it_goes_on() -> None:
    """What was saved is there, the same store object reconnects by itself, and the work goes on where it was."""
    with postgres.running() as server, Store(postgres.url_of(server)) as store:
        kit = Kit(store)
        run_id = kit.start()
        kept = kit.execute(new_record(run_id=run_id))
        lease = kit.lease(new_record("draft", template="D", position=1, run_id=run_id))
        server.stop()
        for _ in range(2):
            with pytest.raises(StoreError, match=r"lost|cannot be reached"):
                store.heartbeat([run_id], [lease])
        server.start()
        store.heartbeat([run_id], [lease])
        assert store.find_record(kept.input_hash, "claim-1") is not None
        assert kit.finish(run_id).executed == ["extract"]


def test_connections_that_the_server_closed_are_replaced(store: Store) -> None:
    """An idle connection that was cut (a restart, a firewall) is noticed before it is used."""
    Kit(store).run(new_record())
    if store.url.startswith("postgresql"):
        with pytest.raises(StoreError, match="lost"), store._writing() as tx:
            tx.connection.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")
    assert len(store.states()) == 1


def test_idle_connections_that_the_server_closed_are_heard_of(store: Store, sql: Any) -> None:
    """No round trip asks for that: what is written next goes by a new connection."""
    kit = Kit(store)
    run_id = kit.start()
    if store.url.startswith("postgresql"):
        sql("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()")  # fmt: skip
    kit.execute(new_record(run_id=run_id))
    assert kit.finish(run_id).executed == ["extract"]


def test_connections_that_were_idle_for_long_are_tried(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is between may have forgotten them without a word; those that still work are used."""
    monkeypatch.setattr("crew_repo.store.postgresql._LONG_IDLE_SECONDS", -1.0)
    Kit(store).run(new_record())
    assert len(store.states()) == 1


def test_what_is_paid_for_waits_for_a_server_that_is_restarted() -> None:
    """As long as for another process's write; all else fails at once, and is tried again."""
    with postgres.running() as server, Store(postgres.url_of(server)) as store:
        kit = Kit(store)
        record = new_record(run_id=kit.start())
        lease = kit.lease(record)
        server.stop()
        with pytest.raises(StoreError, match=r"lost"):
            store.heartbeat([record.run_id], [lease])
        with ThreadPoolExecutor(1) as pool:
            saving = pool.submit(store.save_finished, lease, record, task_run(record))
            server.start()
            assert saving.result().result.raw == "policy 42"
        assert kit.finish(record.run_id).executed == ["extract"]


@pytest.fixture
def narrow(postgres_server: Any) -> Iterator[str]:
    """The URL of a database of a user who may have one connection."""
    url = postgres.new_database(postgres_server)
    with psycopg.connect(postgres_server.get_uri("postgres"), autocommit=True) as connection:
        connection.execute("CREATE ROLE narrow LOGIN CONNECTION LIMIT 1")
        connection.execute(f"ALTER DATABASE {url.partition('?')[0].rpartition('/')[2]} OWNER TO narrow".encode())
    yield url.replace("postgres:@", "narrow:@")
    with psycopg.connect(postgres_server.get_uri("postgres"), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {url.partition('?')[0].rpartition('/')[2]} WITH (FORCE)".encode())
        connection.execute("DROP ROLE narrow")


def test_threads_share_the_connections_that_a_server_gives(narrow: str) -> None:
    """One that finds none left takes what another gives back."""
    with Store(narrow) as store:
        kit = Kit(store)
        run_id = kit.start()
        records = [new_record(f"t{n}", context=str(n), position=n, run_id=run_id) for n in range(16)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(kit.execute, records))
        assert len(kit.finish(run_id).executed) == 16


def test_a_process_waits_for_a_connection_that_another_gives_back(narrow: str) -> None:
    """So many short processes may come at once; what is wrong is named where none is given back in time."""
    with Store(narrow) as first:
        Kit(first).start()
        with pytest.raises(StoreBusyError, match=r"no connection left; raise max_connections"):
            Store(narrow, busy_timeout_seconds=0.2)
        with ThreadPoolExecutor(1) as pool:
            opening = pool.submit(Store, narrow)
            first.close()
            with opening.result() as second:
                assert len(second.list_runs()) == 1
