"""The secrets themselves, which no hash has: handed over to whoever has to keep them out of what is stored.

They go into the set that the caller gives for as long as it hashes, and nowhere else: neither what is hashed nor any
cache nor any `repr` has them. Found are the texts under a secret's name, the values of headers, and passwords and keys
in URLs.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any
from urllib.parse import quote, unquote

from crew_repo.introspection import instance_state
from crew_repo.plain_data import is_large, mark_of, recall, remember
from crew_repo.secrets.forms import is_secret_parameter
from crew_repo.secrets.names import is_secret, is_secret_name, is_source_name
from crew_repo.time_limits import faults, let_through

__all__ = [
    "hand_over",
    "hand_over_variable",
    "handing_over",
    "keys_of_environment",
    "may_hold_secrets",
    "secrets_in",
    "speaks_secret",
    "spoken",
    "spoken_variable",
    "without_password",
]

_SHORTEST = 6  # characters; what is shorter stands in a text by chance
_DEEPEST = 4
_DEEPEST_IN_CLIENTS = 2  # a client of a library holds its keys near, and much else below
_SECRET, _HEADER, _QUERY = "secret", "header", "query"

_USER = re.compile(r"(?<!\w)(\w*)://([^/@\s?#:]*)(?::([^/@\s?#]*))?@")
_PASSWORD = re.compile(r"(://[^/@\s?#:]*):[^/@\s?#]*(?=@)")
_TOKEN = re.compile(r"(https?://)(?![A-Za-z]?[a-z]{1,15}(?:[._][a-z]{1,15})?@)[^/@\s?#:]+(?=@)")  # not: a person's name
_PARAMETER = re.compile(r"[?&]([^=&#\s?]+)=([^&#\s'\"]+)")
# What stands for a value that is put in later: {key}, <your key>, ${KEY}, %(key)s.
_PLACEHOLDER = re.compile(r"\{.*\}|<.*>|\$\{.*\}|\$[A-Z_]+|%\(.*\)s|%s")
# What stands under a secret's name and is none: the name of a header, a scheme, a word for "there is no key".
_NO_SECRETS = {
    *("authorization", "proxy-authorization", "x-api-key", "x-auth-token", "x-access-token", "api-key", "api_key"),
    *("apikey", "cookie", "set-cookie", "bearer", "digest", "negotiate", "password", "secret", "access_token"),
    *("refresh_token", "not-needed", "ollama", "lm-studio"),
}
_OPEN_HEADERS = {
    *("accept", "accept-charset", "accept-encoding", "accept-language", "cache-control", "connection"),
    *("content-type", "content-length", "date", "host", "origin", "pragma", "referer"),
}
# Who, not with what: of credentials, these members are no secrets.
_IDENTITY = re.compile(
    r"(.*[-_])?(user|username|login|email|type|host|port|url|uri|scheme|realm|region|name|domain"
    r"|(project|client|tenant|account|user)_?id)"
)


# Words, paths of names (en_US.UTF-8), and numbers of up to ten digits: they stand in texts that have nothing to hide.
_COMMON = re.compile(r"[+-]?[\d.,:]{0,10}|[a-z]{1,16}|[A-Z][a-z]{1,15}|[A-Z]{1,10}|[a-z]{2}_[A-Z]{2}[.A-Za-z0-9-]*")


class _Local(threading.local):
    """Where this thread's secrets go while it hashes."""

    into: set[str] | None = None


_local = _Local()


@contextmanager
def handing_over(into: set[str]) -> Iterator[None]:
    """Add to `into` what this thread leaves out of hashes meanwhile."""
    outer, _local.into = _local.into, into
    try:
        yield
    finally:
        _local.into = outer


def hand_over(value: object, name: str = "") -> None:
    """Add the secrets in a value that is called `name` to the set of `handing_over`, if there is one."""
    if _local.into is not None:
        with faults():  # a value's own code may raise anything, and no hash may depend on it
            _local.into.update(secrets_in(value, name))


def hand_over_variable(value: str) -> None:
    """Add what an environment variable says, which code reads, whatever its name."""
    if _local.into is not None:
        _local.into.update(spoken_variable(value))


def spoken_variable(value: str) -> set[str]:
    """The forms of an environment variable's value; none if it is too common to be masked in every text.

    Masked is what has at least 6 characters and is no number, switch, plain word, version or path on this machine.
    """
    common = _COMMON.fullmatch(value) or os.path.exists(value)  # noqa: PTH110 - Path's raises for what is too long
    return set() if common else spoken(value)


def keys_of_environment() -> frozenset[str]:
    """Values of the environment under secret names; a text that is equal to one is that secret."""
    named = [name for name in list(os.environ) if is_secret_name(name) or is_source_name(name)]
    said = {name: os.environ.get(name, "") for name in named}
    secret = (value for name, value in said.items() if is_secret(name, value))
    return frozenset(value for value in secret if len(value) >= _SHORTEST and not _COMMON.fullmatch(value))


def may_hold_secrets(name: str) -> bool:
    """Whether the value of this name is looked into: a secret's, or that of headers."""
    return _kind(name) is not None


def secrets_in(value: object, name: str = "") -> set[str]:
    """The secrets in a value that is called `name`, in each form in which they may be spoken out."""
    found = set(_inside(name, value, _DEEPEST, _kind(name)))
    return {form for secret in found if _is_one(secret) for form in _forms(secret)}


def spoken(text: str) -> set[str]:
    """The forms of a text that is a secret, whatever its name."""
    return {form for secret in _words(text) if _is_one(secret) for form in _forms(secret)}


def speaks_secret(url: str) -> bool:
    """Whether a URL may have a secret in it, whatever the environment says."""
    return ("@" in url or "=" in url) and any(True for _ in _of_urls(url))


def without_password(text: str) -> str:
    """A text without the passwords of the URLs in it, and a web address's user who has none: a token.

    Users stay: those of other addresses, and plain words.
    """
    return _PASSWORD.sub(r"\1", _TOKEN.sub(r"\1", text))


@lru_cache(maxsize=4096)
def _kind(name: str) -> str | None:
    if is_secret_name(name) or is_source_name(name):  # which database it is counts, and its password does not
        return _SECRET
    lower = name.lower()
    return _HEADER if "header" in lower else _QUERY if lower.strip("_") in {"default_query", "custom_query"} else None


def _inside(name: str, value: Any, depth: int, kind: str | None) -> Iterator[str]:
    if isinstance(value, str):
        if kind is not None or "://" in value:
            yield from _of_text(name, value, kind)
    elif hasattr(type(value), "get_secret_value"):
        yield from _of_text(name, value.get_secret_value(), _SECRET)
    elif depth > 0 and value is not None and not isinstance(value, (bool, int, float)):
        yield from _of_parts(name, value, depth - 1, kind)


def _of_parts(name: str, value: Any, depth: int, kind: str | None) -> Iterator[str]:
    """Yield what the parts hold; large plain data that was seen to hold nothing is not gone through again."""
    asked = ["secrets", name, depth, kind]
    mark = mark_of(value, asked) if is_large(value) else None
    if mark is not None and recall(mark):
        return
    found = False
    for secret in _of_each_part(name, value, depth, kind):
        found = True
        yield secret
    if mark is not None and not found and mark_of(value, asked) == mark:
        remember(mark, True)


def _of_each_part(name: str, value: Any, depth: int, kind: str | None) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield from _of_mapping(value, depth, kind)
    elif isinstance(value, tuple) and hasattr(value, "_asdict"):
        yield from _of_members(value._asdict(), depth)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item_name, item in _of_items(name, value, kind):
            yield from _inside(item_name, item, depth, kind)
    elif type(value).__module__ != "builtins" and not isinstance(value, type):
        is_model = hasattr(type(value), "__pydantic_fields__")
        yield from _of_members(_state(value), depth if is_model else min(depth, _DEEPEST_IN_CLIENTS - 1))


def _of_mapping(value: Mapping[Any, Any], depth: int, outer: str | None) -> Iterator[str]:
    """Under headers and secrets every value counts, but for those that are known to be open."""
    for key, item in _items(value):
        name = str(key)
        kind = _kind(name) or (outer if outer and not _is_open(name, outer) else None)
        yield from _inside(name, item, depth, kind)


def _is_open(name: str, kind: str | None) -> bool:
    lower = name.lower()
    if kind == _QUERY:
        return "version" in lower
    return lower in _OPEN_HEADERS if kind == _HEADER else bool(_IDENTITY.fullmatch(lower))


def _of_members(members: Mapping[str, Any], depth: int) -> Iterator[str]:
    """Judge each member of an object by its own name."""
    for name, item in list(members.items()):
        yield from _inside(name, item, depth, _kind(name))


def _items(value: Mapping[Any, Any]) -> list[tuple[Any, Any]]:
    try:
        return list(value.items())
    except Exception as error:  # noqa: BLE001 - a mapping of the user's own may raise anything
        let_through(error)
        return []


def _state(value: Any) -> dict[str, Any]:
    """Attributes that an object holds; of a pydantic one also its extras and private attributes."""
    try:
        if hasattr(type(value), "__pydantic_fields__"):
            held = [getattr(value, name, None) for name in ("__dict__", "__pydantic_extra__", "__pydantic_private__")]
        else:
            held = [instance_state(value)]
    except Exception as error:  # noqa: BLE001 - the object's own code may raise anything
        let_through(error)
        return {}
    return {name: item for part in held if isinstance(part, dict) for name, item in part.items()}


def _of_items(name: str, value: Collection[Any], kind: str | None) -> Iterable[tuple[str, Any]]:
    """Items go by the name of the whole; of a header and its value, and of a user and a password, the second counts."""
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], str):
        first, second = value
        if kind == _HEADER and ("-" in first or first.lower() in _NO_SECRETS):
            return [] if first.lower() in _OPEN_HEADERS else [(first, second)]
        if second and (first.lower() == name.lower() or name.lower().endswith("auth")):
            return [(name, second)]
    if kind == _HEADER:  # texts are the names of columns, unless they say `Name: value`
        return [(name, item) for item in value if not isinstance(item, str) or ": " in item]
    return [(name, item) for item in value]


def _of_text(name: str, text: Any, kind: str | None) -> Iterator[str]:
    if not isinstance(text, str):  # a SecretBytes
        return
    yield from _of_urls(text)
    if kind == _HEADER and "header" in name.lower():
        yield from _of_header(text)
    elif kind is not None and text.lower() != name.lower():
        yield from _words(text)


def _of_header(text: str) -> Iterator[str]:
    """A header in one text, as `Name: value` or by its value; the heading of a table or a page is none."""
    name, colon, said = text.partition(": ")
    if colon and " " not in name:
        yield from () if name.lower() in _OPEN_HEADERS else _words(said)
    elif not text.isalpha() and len(text.split()) <= 2:
        yield from _words(text)


def _of_urls(text: str) -> Iterator[str]:
    """The passwords in URLs, a user who has none (a token), and the keys in their queries."""
    for scheme, user, password in _USER.findall(text):
        secret = password or (user if scheme.startswith("http") else "")
        yield from {secret, unquote(secret)}
    for name, value in _PARAMETER.findall(text):
        if is_secret_parameter(name, value):
            yield from {value, unquote(value)}


def _words(text: str) -> Iterator[str]:
    """The text, and what stands in it beside a scheme: `Bearer ...`; of more words, those that are no plain words."""
    if _PLACEHOLDER.fullmatch(text):
        return
    yield text
    _, *rest = text.split() or [""]
    yield from rest if len(rest) == 1 else (word for word in rest if not word.isalpha())


def _is_one(text: str) -> bool:
    if len(text) < _SHORTEST or text.lower() in _NO_SECRETS or _PLACEHOLDER.fullmatch(text):
        return False
    return not (text.isidentifier() and text in os.environ)  # the name of the variable that has it


def _forms(secret: str) -> set[str]:
    """Forms of a secret: as it is, as it stands in a URL, and as it stands in the `repr` of what holds it."""
    return {secret} if secret.isalnum() else {secret, quote(secret, safe=""), repr(secret)[1:-1]}
