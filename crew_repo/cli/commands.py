"""The group of commands: its options, its exit codes, and how errors are told.

0 fresh or done, 1 stale or different, 2 usage, 3 trouble; 130 if it was interrupted (Ctrl-C).
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import click

from crew_repo.cli.options import common
from crew_repo.cli.printing import Answer, print_answer, print_error
from crew_repo.errors import CrewRepoError, InputError, did_you_mean

__all__ = ["crew_repo"]

_COMMANDS = {
    "run": "acting", "plan": "acting", "resume": "resuming", "status": "reading", "runs": "reading", "show": "reading",
    "history": "reading", "diff": "comparing", "changes": "changes", "override": "correcting",
    "mark-complete": "correcting", "adopt": "correcting", "undo": "correcting", "redo": "correcting",
    "invalidate": "upkeep", "verify": "upkeep", "prune": "upkeep", "export": "upkeep", "import": "upkeep",
    "init": "upkeep", "report": "reporting",
}  # fmt: skip
USAGE, TROUBLE, INTERRUPTED = 2, 3, 130


class Commands(click.Group):
    """Commands that are imported when they are asked for, and an end with an exit code whatever happens."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """All commands, in the order in which people need them."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the module of a command."""
        if cmd_name not in _COMMANDS:
            return None
        module = import_module(f"crew_repo.cli.{_COMMANDS[cmd_name]}")
        found: click.Command = getattr(module, f"{cmd_name.replace('-', '_')}_command")
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the nearest command for one that is not there."""
        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            meant = did_you_mean(args[0], list(_COMMANDS), "commands")
            raise click.UsageError(f"There is no command {args[0]!r}. {meant}")
        return super().resolve_command(ctx, args)

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, **options: Any) -> Any:  # type: ignore[override]
        """Run a command, print its answer or error, and exit."""
        given = list(sys.argv[1:] if args is None else args)
        options["standalone_mode"] = False
        sys.exit(self._ended(given, lambda: super(Commands, self).main(given, prog_name or "crew-repo", **options)))

    def _ended(self, given: list[str], run: Callable[[], Any]) -> int:
        own = given[: given.index("--")] if "--" in given else given
        as_json, debug = "--json" in own, "--debug" in own
        command = next((argument for argument in own if argument in _COMMANDS), None)
        try:
            answer = run()
            if not isinstance(answer, Answer):  # the exit code of --help
                return int(answer or 0)
            return print_answer(command, answer, as_json=as_json)
        except (click.Abort, KeyboardInterrupt):
            return print_error(command, INTERRUPTED, "Interrupted", "interrupted", as_json=as_json)
        except Exception as error:  # noqa: BLE001 - it is told, in one line
            if debug:
                traceback.print_exc()
            code = USAGE if isinstance(error, (click.ClickException, InputError)) else TROUBLE
            return print_error(command, code, type(error).__name__, _said(error, debug), as_json=as_json)


def _said(error: Exception, debug: bool) -> str:
    """The message of an error of ours or click's; of any other its kind too, and where to see more."""
    if isinstance(error, click.UsageError):
        help_of = error.ctx.command_path if error.ctx is not None else "crew-repo"
        return f"{error.format_message()} See {help_of} --help."
    if isinstance(error, click.ClickException):
        return error.format_message()
    if isinstance(error, CrewRepoError):
        return str(error)
    return f"{type(error).__name__}: {error}" + ("" if debug else " (--debug shows where)")


@click.group(
    cls=Commands,
    invoke_without_command=True,
    subcommand_metavar="COMMAND [ARGS]...",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@common
@click.option("--version", is_flag=True, help="Print the version.")
@click.pass_context
def crew_repo(context: click.Context, version: bool) -> Answer | None:
    """Make for CrewAI crews: run only what changed, and ask what was done.

    Exit codes: 0 fresh or done, 1 stale or different, 2 usage, 3 trouble.

    With --json standard output is one JSON value: schema ("crew-repo/1"), command, exit_code, result, error.
    """
    if version:
        from crew_repo.settings import package_version

        return Answer({"version": package_version()}, f"crew-repo {package_version()}")
    if context.invoked_subcommand is None:
        raise click.UsageError("Say a command: " + ", ".join(_COMMANDS) + ".", context)
    return None
