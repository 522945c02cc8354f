"""The hash contract.

Every hash is the SHA-256 of RFC 8785 canonical JSON of `["crew_repo", record type, format, pre-image]`. `FORMAT` is
stored beside each record; the golden file of the tests pins the hashes. They are equal in every process, on every
machine, under every hash seed and every supported Python. What cannot be hashed is named (`Hashed.opaque`).

| room | what | counts by |
| --- | --- | --- |
| `handlers.values` | value | type and content: 1, 1.0, True and "1" differ |
| | dict that code holds | content and order, since code may go through it |
| | dict of a model's parameters | content |
| `code.project_paths` | path that code holds | place in that code's project, or in the working folder |
| | path elsewhere, or in a prompt | text |
| `handlers.functions` | function | syntax, or bytecode where the source is not what is live |
| | | defaults, closure, annotations |
| | | globals that it reads: helpers, classes, constants, modules of the user's |
| `code.ownership` | installed code | name |
| `code.environment` | variable that code reads by name | value by now; told apart (`Hashed.environment`) |
| `asides` | variable that other code reads, docstring | value, text, if something asks for such |
| `handlers.classes` | class | bases, fields in their order, methods, attributes |
| `handlers.objects` | object | class and attributes |
| `handlers.pydantic_models` | model of pydantic's | class, fields, extras, private attributes |
| `code.failing_branches` | language model | parameters, but those that only decide whether a call fails |
| `as_first_seen` | what work may change | value as it was given, and not as runs have left it |
| `handlers.http_clients` | client of HTTP | address, query, headers |
| `attachments` | object of a library | the user's code that hangs on it: adapters, hooks, replaced methods |
| `handlers.resources` | thread, pool, lock | type, the user's code that it calls, texts and numbers that it hands on |
| | class derived from one of these | what the user has added |
| `handlers.remote_data` | handle of data elsewhere | place of the data: database, bucket, folder |

Work is what CrewAI calls of tools, guardrails, callbacks and models, and what that comes to (`code.reach`). It may
change what it binds anew, changes in place, calls methods of, or hands to others (`code.changed_at_work`). What it only
reads counts as it is by now. An attribute that work writes, and that a method which only others call sets from its
parameters, cannot be hashed: nobody can tell whose value it has.

These do not count, and nobody can see their change:
- comments, layout, and docstrings, unless something reads docstrings (`asides`);
- secrets: the values of what is named like one (`secrets.names`), a SecretStr, passwords in URLs;
- headers that say who asks or which request it is; cookies, time-outs, proxies, certificates of a client;
- settings of a library's own adapters, and what others change in place of a library's object during a run;
- environment variables whose names no text of the code says, begins or ends; what only libraries read of them;
- arguments of the process, its time zone and locale; programs that it starts;
- what a module sets in a library as it is imported: `random.seed(1)`, `decimal.getcontext().prec = 5`;
- names that only the text of an `eval` or `exec` mentions; the subclasses of a class; what a weak reference leads to;
- changes at run time of modules that a function imports itself or passes around whole: their files count instead, as do
  those of parts of a package that nobody has imported yet;
- the state of locks, loggers and threads.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from crew_repo.canonical import FORMAT, JsonValue, digest
from crew_repo.code import only_failing
from crew_repo.hashing import handlers as handlers
from crew_repo.hashing.as_first_seen import Work, attributes_of, forget_interrupted, looking
from crew_repo.hashing.dispatch import Steps, handles, handles_marked, handles_named, register_hasher, unregister_hasher
from crew_repo.hashing.handlers.http_clients import (
    acting_headers,
    client_address,
    client_headers,
    endpoint,
    hangs_on_client,
)
from crew_repo.hashing.handlers.pydantic_models import model_state
from crew_repo.hashing.kept_texts import gives, kept_json, kept_number, unescaped
from crew_repo.hashing.record_hashes import (
    context_hash,
    definition_hash,
    held_hash,
    input_hash,
    output_hash,
    private_text_hash,
    sent_hash,
    text_hash,
)
from crew_repo.hashing.walker import Hashed, Walker, left_out, walk
from crew_repo.hashing.work import changed_at_work, exchange, of_work

_BASE = re.compile(r"^(\[\d+\])*\.?")  # where a member of a base class stands

__all__ = [
    "FORMAT",
    "Hashed",
    "JsonValue",
    "Steps",
    "Walker",
    "Work",
    "acting_headers",
    "attributes_of",
    "changed_at_work",
    "client_address",
    "client_headers",
    "context_hash",
    "definition_hash",
    "digest",
    "endpoint",
    "exchange",
    "forget_interrupted",
    "gives",
    "handles",
    "handles_marked",
    "handles_named",
    "hangs_on_client",
    "hash_callable",
    "hash_class",
    "hash_model_class",
    "hash_value",
    "held_hash",
    "input_hash",
    "kept_json",
    "kept_number",
    "left_out",
    "looking",
    "model_state",
    "output_hash",
    "private_text_hash",
    "register_hasher",
    "sent_hash",
    "text_hash",
    "unescaped",
    "unregister_hasher",
]


def hash_value(
    value: object,
    path: str,
    *,
    ordered: bool = False,
    holder: object = None,
    printed: bool = False,
) -> Hashed:
    """Hash any value; `path` is where it stands, for what is opaque in it.

    `ordered` is for what code holds, which may go through a dict in its order, and whose paths may be in its project;
    `holder` is the object of the user's that has it. `printed`: a model is told of it, so paths count to the letter.
    """
    with of_work([value]):
        return walk("value", value, path, ordered=ordered, holder=holder, printed=printed)


def hash_callable(function: Callable[..., Any], path: str) -> Hashed:
    """Hash a function, or whatever else can be called, by what it does."""
    with of_work([function]):
        return walk("callable", function, path)


def hash_model_class(cls: type, path: str) -> Hashed:
    """Hash the class of a language model, without what only decides whether a call fails (`code.failing_branches`)."""
    left_out = only_failing(cls)
    if not left_out:
        return hash_class(cls, path)
    with of_work([cls]):
        return walk("class", cls, path, lambda inner: _BASE.sub("", inner) in left_out)


def hash_class(cls: type, path: str) -> Hashed:
    """Hash a class by what it does; an installed one by its name."""
    with of_work([cls]):
        return walk("class", cls, path)
