"""States whose reports are looked at: the example's claims, a crew of forty tasks, a thousand claims, hostile texts."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from crew_repo import StateRepository
from crew_repo.model import Component, Failure, Outcome, RunInput, RunStatus
from crew_repo.model.asked import InputKind
from crew_repo.store import Store
from tests.conformance.kit import DEAD, Kit, new_record, now, task_run
from tests.hostile import HOSTILE

__all__ = ["claims", "forty_tasks", "hostile", "thousand_claims"]


def claims(example: Path, file: Path) -> Path:
    """The example's state, with a killed and a changed run in it; and a correction, and a claim whose run failed."""
    shutil.copy(example / "claims_triage.db", file)
    with StateRepository(file, verbose=False) as repo:
        repo.override("customer_letter", "Dear Ms Moreau,\nwe are sorry for the damage.", by="Ada Lind",
                      workflow_id="CLM-2025-0117", reason="The tone was too cold")  # fmt: skip
    with Store(f"sqlite:///{file}") as store:
        failed(Kit(store), "CLM-2025-0131")
    return file


def failed(kit: Kit, workflow_id: str) -> None:
    """A run that failed in its second task."""
    run_id = kit.start(workflow_id, run_id=f"run of {workflow_id}")
    kit.execute(task(0, (), "Policy number: HO-5120-034", run_id, workflow_id))
    lost = task(1, ("task_00",), "", run_id, workflow_id)
    failure = Failure("ConnectionError", "The reserve system did not answer: 503", "Traceback (most recent call last):\n  ...")
    note = task_run(lost, Outcome.FAILED, failure=failure, started_at=now(), duration_seconds=0.2)
    kit.store.save_failed(kit.lease(lost), note)
    kit.finish(run_id, RunStatus.FAILED, failure=failure)


def task(at: int, reads: tuple[str, ...], raw: str, run_id: str, workflow_id: str = "claim-1"):
    """The record of a task of that place, which reads these."""
    record = new_record(f"task_{at:02}", raw, run_id=run_id, workflow_id=workflow_id, position=at, template=f"Do {at}")
    text = json.dumps(reads)
    told = Component("task.reads", hashlib.sha256(text.encode()).hexdigest(), acts=False, text=text)
    result = replace(record.result, pydantic_json=None, description=f"Do {at}", agent="clerk")
    return replace(record, components=(*record.components, told), result=result)


def forty_tasks(file: Path) -> Path:
    """A crew of forty tasks, each of which reads a few of those before it; killed in the middle, and resumed."""
    chance = random.Random(7)
    reads = [tuple(f"task_{each:02}" for each in sorted(chance.sample(range(at), min(at, chance.choice([0, 1, 1, 2])))))
             for at in range(40)]  # fmt: skip
    with Store(f"sqlite:///{file}") as store:
        kit = Kit(store)
        killed = kit.start(owner=DEAD, run_id="killed")
        for at in range(25):
            kit.execute(task(at, reads[at], f"answer {at}", killed))
        kit.lease(task(25, reads[25], "", killed), owner=DEAD)
        resumed = kit.start(run_id="resumed")
        for at in range(25, 40):
            kit.execute(task(at, reads[at], f"answer {at}", resumed))
        kit.finish(resumed, tokens_spent=450)
    return file


def thousand_claims(example: Path, file: Path) -> Path:
    """The first claim of the example, a thousand times over."""
    shutil.copy(example / "claims_triage.db", file)
    with closing(sqlite3.connect(file)) as state, state:
        number = "printf('CLM-%05d', each.n)"
        state.execute("CREATE TEMP TABLE each AS WITH RECURSIVE up(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up "
                      "WHERE n < 1000) SELECT n FROM up")  # fmt: skip
        for table, key in (("record", "record_id"), ("run_entry", None), ("task_run", "task_run_id")):
            names = [row[1] for row in state.execute(f"PRAGMA table_info({table})") if row[1] != key]
            new = {"workflow_id": number, "run_id": f"run_id || '-' || {number}", "number": "number + 1000 * each.n",
                   "record_id": "NULL"}  # fmt: skip
            values = ", ".join(new.get(name, name) for name in names)
            state.execute(f"INSERT INTO {table} ({', '.join(names)}) SELECT {values} FROM {table}, each "
                          "WHERE workflow_id = 'CLM-2025-0117'")  # fmt: skip
        state.execute("UPDATE task_run SET record_id = (SELECT record_id FROM record WHERE "
                      "record.input_hash = task_run.input_hash AND record.workflow_id = task_run.workflow_id) "
                      "WHERE record_id IS NULL AND status IN ('executed', 'reused')")  # fmt: skip
    return file


def hostile(file: Path) -> Path:
    """Each hostile text as the answer, the name, the input and the failure of a task; and one of five megabytes."""
    with Store(f"sqlite:///{file}") as store:
        kit = Kit(store)
        for at, text in enumerate([*HOSTILE, "long " * 1_000_000]):
            given = (RunInput("notes", InputKind.TEXT, sha256=f"{at:064}", text=text),)
            workflow_id = f"{text[:2000]} {at}"
            kit.begin(f"run-{at}", workflow_id, source=text[:5000], inputs=given)
            record = task(0, (), text, f"run-{at}", workflow_id)
            named = replace(record, task_name=f"{text[:500]} a", model=text[:500])
            kit.execute(replace(named, result=replace(record.result, description=text, agent=text[:500])))
            broken = replace(task(1, (f"{text[:500]} a",), text, f"run-{at}", workflow_id), task_name=f"{text[:500]} b")
            failure = Failure(text[:200], text, text)
            kit.store.save_failed(kit.lease(broken), task_run(broken, Outcome.FAILED, failure=failure))
            kit.finish(f"run-{at}", RunStatus.FAILED, failure=failure)
    return file
