"""The entry point. A plain `status` is answered without click, whose import takes longer than the answer."""

from __future__ import annotations

import os
import sys

__all__ = ["plain_status", "start"]

_VALUES = ("--db", "--workflow")


def start() -> None:
    """Do what the command line says, and exit with its code."""
    asked = None if "_CREW_REPO_COMPLETE" in os.environ else plain_status(sys.argv[1:])
    code = None if asked is None else _answered(asked)
    if code is None:
        from crew_repo.cli.commands import crew_repo

        crew_repo.main(prog_name="crew-repo")
    sys.exit(code)


def plain_status(arguments: list[str]) -> dict[str, str] | None:
    """The options of a `status` without anything unusual; None for all that click has to read."""
    found: dict[str, str] = {}
    rest = iter(arguments)
    for argument in rest:
        name, equals, value = argument.partition("=")
        if argument in ("status", "--json") and argument not in found:
            found[argument] = ""
        elif name in _VALUES and name not in found:
            found[name] = value if equals else next(rest, "")
            if not found[name] or found[name].startswith("-"):
                return None
        else:
            return None
    return found if "status" in found else None


def _answered(asked: dict[str, str]) -> int | None:
    """The exit code; None where something is wrong, which click's way then says."""
    from crew_repo.cli.current import status
    from crew_repo.cli.printing import print_answer

    try:
        answer = status(asked.get("--db"), asked.get("--workflow"))
    except Exception:  # noqa: BLE001 - all of it is tried again, and reported there
        return None
    return print_answer("status", answer, as_json="--json" in asked)
