"""Reading the user's code: what it says, what it reads, what it changes. Nothing here hashes.

| room | question |
| --- | --- |
| `ownership` | Is this code the user's, or installed? |
| `syntax`, `bytecode`, `source` | What does a function say, whatever its layout? |
| `imports`, `called_imports`, `environment`, `module_files` | Which modules and variables does it ask for by name? |
| `project_paths` | Where does a path stand in the project of the code that holds it? |
| `members` | Which functions stand for the members of a class? |
| `expressions`, `binding`, `uses` | What does an expression stand for? What does a statement bind? |
| `name_usage` | How does a function use the names that it did not make? |
| `declared` | Which types and functions does a library call as it makes objects of a class? |
| `reach` | Which functions and objects does work come to? |
| `changed_at_work` | Which values may that work change? |
| `replaced` | Which code of the user's stands in a library's place? |
| `exchanges` | Which state does one object's work hand to another's? |
| `handing`, `callees` | What does a function hand to which calls, and what do these stand for? |
| `alterations` | Does a callback or a hook alter what it is given? |
| `failing_branches` | Which attributes only decide whether a model's call fails? |

`hashing` uses every room; all others come in through this door.
"""

from crew_repo.code.alterations import alters
from crew_repo.code.changed_at_work import Marks, are_in_force, marked, written_at_work
from crew_repo.code.exchanges import Exchange, counted_on, exchange, handed_on
from crew_repo.code.failing_branches import only_failing
from crew_repo.code.members import first_argument, function_of, live_tree_of, names_used, weakly_cached
from crew_repo.code.ownership import is_own_class, is_own_function
from crew_repo.code.reach import Libraries
from crew_repo.code.replaced import replaced_in

__all__ = [
    "Exchange",
    "Libraries",
    "Marks",
    "alters",
    "are_in_force",
    "counted_on",
    "exchange",
    "first_argument",
    "function_of",
    "handed_on",
    "is_own_class",
    "is_own_function",
    "live_tree_of",
    "marked",
    "names_used",
    "only_failing",
    "replaced_in",
    "weakly_cached",
    "written_at_work",
]
