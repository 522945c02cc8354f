"""The hash contract.

Every hash is the SHA-256 of RFC 8785 canonical JSON of `["crew_repo", record type, format, pre-image]`. `FORMAT` is
stored beside each record; the golden file of the tests pins the hashes. They are equal in every process, on every
machine, under every hash seed and every supported Python. What cannot be hashed is named (`Hashed.opaque`).

What counts:
- Values by type and content: 1, 1.0, True and "1" differ. The order of a dict counts where code holds it and may go
  through it (globals, closures, fields of tools), and not where it is looked up (parameters of a model).
- Paths that code holds, as texts or `pathlib` paths, by their place in the project of that code, or in the working
  folder (`_places`); a path anywhere else, and the text of a prompt, as it is.
- Functions by their syntax (or bytecode, where the source is not what is live), defaults, closures, annotations and the
  globals that they read; so in turn the user's helpers, classes, constants and modules, wherever they stand. Comments,
  layout and docstrings that nothing reads do not count. Installed code counts by its name.
- Environment variables that code reads by name, as they are by now; each is told apart (`Hashed.environment`). Of those
  that a user's model reads, the adapter counts what names the model, its endpoint or a parameter, not its switches.
- Classes by their bases, fields in their order, methods and attributes; objects by class and attributes.
- Of a model, not the attributes that only decide whether a call fails (`_failing`): an answer was given; nor what it
  writes as it answers.
- What the work of a crew may change - globals, free variables, defaults, attributes - as it was given and not as runs
  have left it (`_kept`). Work is what CrewAI calls of tools, guardrails, callbacks and models, and what that comes to
  (`_reach`); it may change what it binds anew, changes in place, calls methods of, or hands to others (`_usage`,
  `_marks`). What it only reads counts as it is by now, and so does what only others set. An attribute that work writes,
  and a method that only others call sets from its parameters, cannot be hashed: nobody can tell whose value it has.
- Of a client of HTTP, its address, its query and its headers (`_clients`), and whatever of the user's hangs on it:
  adapters, transports, hooks, auth objects, methods that somebody replaced on it (`_hanging`). Of a thread or a pool,
  the user's code that it calls, and the texts and numbers that it hands to a library's.
- Of a client, a thread or another thing of plumbing that the user has derived a class of, what the user has added.
- Handles of data that lives elsewhere (databases, buckets, scratch folders) by where it is (`_elsewhere`).

What does not count, and cannot be seen: the values of what is named like a secret (`_secret_names`) or is a SecretStr
(of an object there, only the user's class), and the passwords in URLs (`handing_over` tells the caller what they were,
who keeps them out of what is stored); headers that say who asks or which request it is; environment variables whose
names are made at run time, or that are read by other ways than `os.environ` and `os.getenv` under these names; what
others change in place, during a run, of a library's object that its work uses; docstrings that are read by other ways
than `name.__doc__`; names that only the text of an `eval` or `exec` mentions; changes at run time of modules that a
function imports itself or passes around whole, whose files count instead; the subclasses of a class; what a weak
reference leads to or calls; the state of locks, loggers and threads; a client's cookies, time-outs, proxies and
certificates, and the settings of a library's own adapters.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from crew_repo.hashing import (  # noqa: F401
    _annotations,
    _callables,
    _classes,
    _clients,
    _elsewhere,
    _objects,
    _plumbing,
    _pydantic,
    _values,
)
from crew_repo.hashing._canonical import FORMAT, JsonValue, digest
from crew_repo.hashing._clients import acting_headers, client_address, client_headers, endpoint, hangs_on_client
from crew_repo.hashing._dispatch import handles, handles_marked, handles_named, register_hasher, unregister_hasher
from crew_repo.hashing._failing import only_failing
from crew_repo.hashing._handing import Exchange, exchange, handed_on
from crew_repo.hashing._kept import Work, attributes_of
from crew_repo.hashing._marks import Marks, marked, of_work, written_at_work
from crew_repo.hashing._origin import is_own_class, is_own_function
from crew_repo.hashing._pydantic import model_state
from crew_repo.hashing._records import (
    context_hash,
    definition_hash,
    input_hash,
    output_hash,
    private_text_hash,
    sent_hash,
    text_hash,
)
from crew_repo.hashing._secret_forms import masked
from crew_repo.hashing._secret_names import is_secret, is_secret_name, may_be_secret_name
from crew_repo.hashing._secrets import handing_over, may_hold_secrets, secrets_in, spoken, spoken_variable
from crew_repo.hashing._state import instance_state
from crew_repo.hashing._walker import Hashed, Steps, Walker, left_out, walk

_BASE = re.compile(r"^(\[\d+\])*\.?")  # where a member of a base class stands

__all__ = [
    "FORMAT",
    "Exchange",
    "Hashed",
    "JsonValue",
    "Marks",
    "Steps",
    "Walker",
    "Work",
    "acting_headers",
    "attributes_of",
    "client_address",
    "client_headers",
    "context_hash",
    "definition_hash",
    "digest",
    "endpoint",
    "exchange",
    "handed_on",
    "handing_over",
    "handles",
    "handles_marked",
    "handles_named",
    "hangs_on_client",
    "hash_callable",
    "hash_class",
    "hash_model_class",
    "hash_value",
    "input_hash",
    "instance_state",
    "is_own_class",
    "is_own_function",
    "is_secret",
    "is_secret_name",
    "left_out",
    "marked",
    "masked",
    "may_be_secret_name",
    "may_hold_secrets",
    "model_state",
    "only_failing",
    "output_hash",
    "private_text_hash",
    "register_hasher",
    "secrets_in",
    "sent_hash",
    "spoken",
    "spoken_variable",
    "text_hash",
    "unregister_hasher",
    "written_at_work",
]


def hash_value(
    value: object,
    path: str,
    *,
    skip: Callable[[str], bool] | None = None,
    ordered: bool = False,
    holder: object = None,
) -> Hashed:
    """Hash any value; `path` is where it stands, for what is opaque in it; `skip` leaves out parts by their paths.

    `ordered` is for what code holds, which may go through a dict in its order, and whose paths may be in its project;
    `holder` is the object of the user's that has it.
    """
    with of_work([value]):
        return walk("value", value, path, skip, ordered=ordered, holder=holder)


def hash_callable(function: Callable[..., Any], path: str) -> Hashed:
    """Hash a function, or whatever else can be called, by what it does."""
    with of_work([function]):
        return walk("callable", function, path)


def hash_model_class(cls: type, path: str) -> Hashed:
    """Hash the class of a language model, but for what only decides whether a call of it fails (see `_failing`)."""
    left_out = only_failing(cls)
    if not left_out:
        return hash_class(cls, path)
    with of_work([cls]):
        return walk("class", cls, path, lambda inner: _BASE.sub("", inner) in left_out)


def hash_class(cls: type, path: str) -> Hashed:
    """Hash a class by what it does; an installed one by its name."""
    with of_work([cls]):
        return walk("class", cls, path)
