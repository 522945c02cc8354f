"""The report: one HTML page about a state, made from its rows alone. It runs no script and asks no network.

| room | what |
| --- | --- |
| `selection` | which runs it is about |
| `gathering` | reading them, all of one moment |
| `summary` | what was spent and saved |
| `cards` | each task with all that is known of it |
| `making` | the page, as large as may be, and its file |
"""

from __future__ import annotations

from crew_repo.report.making import Page, check_file, page_of
from crew_repo.report.selection import Selection, moment_of

__all__ = ["Page", "Selection", "check_file", "moment_of", "page_of"]
