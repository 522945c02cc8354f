"""A PostgreSQL that goes away in the middle; there is no such thing with a file."""

from __future__ import annotations

from typing import Any

import pytest

from crew_repo.errors import StoreError
from crew_repo.store import Store
from tests import postgres
from tests.conformance.kit import Kit, new_record


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
