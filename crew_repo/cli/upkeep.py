"""The commands that keep a state in order, without any crew."""

from __future__ import annotations

import re
import sys
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from crew_repo.cli.current import beginning
from crew_repo.cli.options import Asked, by_a_person, common, complete_tasks, dry_run, of_a_workflow
from crew_repo.cli.printing import Answer, Table, counted
from crew_repo.cli.reader import path_of, read, refuse_missing
from crew_repo.cli.reading import selected_tasks
from crew_repo.errors import InputError
from crew_repo.export_files import write_private
from crew_repo.settings import resolve_url

if TYPE_CHECKING:
    from crew_repo import StateRepository

__all__ = [
    "export_command",
    "import_command",
    "init_command",
    "invalidate_command",
    "prune_command",
    "repository",
    "verify_command",
]

_UNITS = {"d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1), "w": timedelta(weeks=1)}


def repository(asked: Asked, *, new: bool = False) -> StateRepository:
    """The state, which has to be there, unless it may be `new`."""
    from crew_repo import StateRepository

    if not new:
        refuse_missing(resolve_url(asked.db))
    return StateRepository(asked.db, prices=asked.prices)


@click.command("invalidate")
@click.argument("selectors", nargs=-1, required=True, metavar="SELECTOR...", shell_complete=complete_tasks)
@by_a_person
@dry_run
@of_a_workflow()
@common
@click.pass_obj
def invalidate_command(
    asked: Asked, selectors: tuple[str, ...], by: str | None, reason: str | None, dry_run: bool
) -> Answer:
    """Make tasks execute in the next run, whatever is stored.

    SELECTOR: a name or pattern, a+ (and what reads it), status:failed, workflow:CLM-2025-*; a,b selects what both do.
    Without --workflow in all workflows.
    """
    tasks = selected_tasks(asked, selectors)
    by_workflow: dict[str, list[str]] = {}
    for task in tasks:
        by_workflow.setdefault(task["workflow_id"], []).append(task["task_name"])
    retired = 0
    if not dry_run:
        with repository(asked) as repo:
            retired = sum(repo.invalidate(names, workflow_id, by=by, reason=reason)
                          for workflow_id, names in by_workflow.items())  # fmt: skip
    chosen = [{name: task[name] for name in ("workflow_id", "task_name", "status")} for task in tasks]
    rows = [(task["workflow_id"], task["task_name"], beginning(task["output"])) for task in tasks]
    done = f"invalidated {counted(len(tasks), 'task')}; {counted(retired, 'record')} retired"
    said = f"would invalidate {counted(len(tasks), 'task')}" if dry_run else done
    return Answer({"tasks": chosen, "retired": retired, "dry_run": dry_run},
                  Table(("workflow", "task", "said"), rows), said)  # fmt: skip


@click.command("verify")
@common
@click.pass_obj
def verify_command(asked: Asked) -> Answer:
    """Derive the hash of every record again. Exit code 1 if one does not match what is stored."""
    with repository(asked) as repo:
        problems = repo.verify()
    said = "\n".join(map(str, problems)) or "every record is as it was written"
    return Answer({"problems": [asdict(problem) for problem in problems]}, said, exit_code=int(bool(problems)))


@click.command("prune")
@click.option("--keep-last", type=click.IntRange(min=0), metavar="N", help="Keep that many records of each task.")
@click.option("--older-than", metavar="AGE", help="Delete only what is older: 90d, 12h, 2w.")
@click.option("--retired", is_flag=True, help="Delete the records that are served no more.")
@by_a_person
@dry_run
@common
@click.pass_obj
def prune_command(
    asked: Asked, keep_last: int | None, older_than: str | None, retired: bool, by: str | None, reason: str | None,
    dry_run: bool,
) -> Answer:  # fmt: skip
    """Delete old records, and give their space back."""
    if keep_last is None and older_than is None and not retired:
        raise InputError("Say what to delete: --keep-last N, --older-than AGE, or --retired; --dry-run only counts it")
    age = None if older_than is None else _age(older_than)
    with repository(asked) as repo:
        report = repo.prune(keep_last=keep_last, older_than=age, dry_run=dry_run, by=by, reason=reason)
    return Answer(asdict(report), str(report))


def _age(text: str) -> timedelta:
    found = re.fullmatch(r"(\d{1,6})([dhmw])", text.strip())
    if found is None:
        raise InputError(f"--older-than {text!r} is no age; give a number and d, h, m or w, such as 90d")
    return int(found[1]) * _UNITS[found[2]]


@click.command("export", short_help="Write all records and runs as JSON lines.")
@click.argument("file", required=False, default="-")
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@dry_run
@common
@click.pass_obj
def export_command(asked: Asked, file: str, force: bool, dry_run: bool) -> Answer:
    """Write all records and runs as JSON lines, for import in another state.

    FILE: only you can read it. Default: standard output.
    """
    if file == "-" and asked.json:
        raise InputError("With --json standard output is one JSON value; name the FILE to export to")
    if file != "-" and Path(file).exists() and not force:
        raise InputError(f"{file} is there already; --force writes over it, or name another FILE")
    if file != "-" and Path(file).resolve() == (path_of(resolve_url(asked.db)) or Path()).resolve():
        raise InputError(f"{file} is the state itself; name another FILE")
    with repository(asked) as repo:
        text = repo.export_json()
    if file != "-" and not dry_run:
        write_private(Path(file), text)
    lines = text.count("\n")
    result = {"file": None if file == "-" else file, "lines": lines, "dry_run": dry_run}
    if file == "-" and not dry_run:
        return Answer(result, text.removesuffix("\n"))
    return Answer(result, f"{'would write' if dry_run else 'wrote'} {counted(lines, 'line')} to {file}")


@click.command("import", short_help="Take over what export wrote.")
@click.argument("file")
@dry_run
@common
@click.pass_obj
def import_command(asked: Asked, file: str, dry_run: bool) -> Answer:
    """Take over what export wrote: all of it or nothing, and each record once.

    FILE: an export; - for standard input.
    """
    source: str | Path = sys.stdin.read() if file == "-" else Path(file)
    if dry_run:
        new = _imported_into_a_copy(asked, source)
    else:
        with repository(asked, new=True) as repo:
            new = repo.import_json(source)
    said = f"{'would import' if dry_run else 'imported'} {counted(new, 'record')}"
    return Answer({"new_records": new, "dry_run": dry_run}, said)


def _imported_into_a_copy(asked: Asked, source: str | Path) -> int:
    """How many records are new here, by importing them into a copy of the state."""
    from crew_repo import StateRepository

    path = path_of(resolve_url(asked.db))
    if path is None:
        raise InputError("import --dry-run needs a state in a file; import into a new file to see what an export has")
    with TemporaryDirectory() as folder:
        copy = Path(folder) / "copy.db"
        if path.exists() and path.stat().st_size:
            with repository(asked) as repo:
                repo.backup(copy)
        with StateRepository(copy) as copied:
            return copied.import_json(source)


@click.command("init", short_help="Make a new state, or bring an older one up to date.")
@dry_run
@common
@click.pass_obj
def init_command(asked: Asked, dry_run: bool) -> Answer:
    """Make a new state, or bring one of an older version up to date; a copy of that file is kept."""
    url = resolve_url(asked.db)
    path = path_of(url)
    there = path is None or (path.exists() and path.stat().st_size > 0)
    if not dry_run:
        with repository(asked, new=True) as repo:  # which brings an older one up to date
            there = there and (path is None or _has_tables(asked))
            if not there:
                repo.import_json(repo.export_json())  # of nothing
    result: dict[str, Any] = {"state": str(path) if path is not None else None, "new": not there, "dry_run": dry_run}
    place = path or "the database"
    would = f"would {'bring up to date, if that is needed,' if there else 'make'} {place}"
    return Answer(result, would if dry_run else f"{place} {'is up to date' if there else 'is new'}")


def _has_tables(asked: Asked) -> bool:
    """Whether the file has our tables: not if SQLite alone has made it, or another process has only begun to."""
    return bool(read(asked.db, lambda query: query("SELECT version FROM crew_repo_schema")))
