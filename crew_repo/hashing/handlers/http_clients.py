"""HTTP clients: their address, the headers that they always send, and your code that acts on the way.

Connections, cookies, time-outs and proxies come and go. Headers count, since gateways choose the model by them, unless
they are named like secrets or only say who asks, or which request it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from operator import attrgetter
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from crew_repo.canonical import SCALARS, Encoded, canonical
from crew_repo.code.ownership import qualified_name
from crew_repo.hashing.as_first_seen import kept_members
from crew_repo.hashing.attachments import Hanging, answers_itself, hanging_on, looks_through, members_to_look_through
from crew_repo.hashing.dispatch import handler_for, handles_named
from crew_repo.hashing.handlers.resources import (
    library_class,
    library_state,
    whole_library_state,
    with_what_the_user_adds,
)
from crew_repo.secrets.finding import hand_over
from crew_repo.secrets.forms import is_key
from crew_repo.secrets.names import is_secret
from crew_repo.time_limits import faults

if TYPE_CHECKING:
    from crew_repo.hashing.dispatch import Parts
    from crew_repo.hashing.walker import Walker

__all__ = ["acting_headers", "client_address", "client_headers", "encoded_hanging", "endpoint", "hangs_on_client"]

# Where clients keep the address that they talk to: of HTTP, botocore, Azure and Google.
_ADDRESSES = ("base_url", "_base_url", "meta.endpoint_url", "_config.endpoint", "_api_client._http_options.base_url")
_HTTPX = ("httpx", "httpx2")
_QUERIES = ("params", "_params", "_custom_query")
# Who asks and how it travels; which request it is, which is another one each time.
_NOISE = re.compile(
    r"user-agent|accept-encoding|connection|date|content-length|traceparent|tracestate|x-goog-api-client"
    r"|x-stainless-.*|(?:.*-)?(?:request|correlation|trace|span|transaction|session|operation|idempotency)-?(?:id|key)"
)
# A scheme of admission and what is admitted; `basic plan` and `token limit` are words.
_ADMISSION = re.compile(r"(?i:bearer|digest|negotiate|apikey) |(?i:basic|token) (?![A-Z]?[a-z]{1,15}\b)")


@looks_through
@handles_named(
    *("requests.sessions.Session", "requests.adapters.BaseAdapter", "urllib.request.OpenerDirector"),
    *("urllib3.poolmanager.PoolManager", "urllib3.connectionpool.HTTPConnectionPool"),
    *("aiohttp.client.ClientSession", "aiohttp.connector.BaseConnector"),
    *(f"{httpx}.{name}" for httpx in _HTTPX for name in ("Client", "AsyncClient", "_client.BaseClient")),
    *(f"{httpx}.{name}" for httpx in _HTTPX for name in ("BaseTransport", "AsyncBaseTransport")),
    *("openai._base_client.BaseClient", "anthropic._base_client.BaseClient", "groq._base_client.BaseClient"),
)
@with_what_the_user_adds
def _http_client(_: Walker, value: Any, path: str) -> Parts:
    """Its class's name, its address and settings, and everything of the user's that hangs on it."""
    hand_over(value)
    encoded: list[Encoded] = ["http client", qualified_name(library_class(type(value))), client_address(value)]
    said = {**_settings(value), **({"follows": True} if getattr(value, "follow_redirects", None) is True else {})}
    if said:
        encoded.append((yield said, path))
    hanging = hanging_on(whole_library_state(value), besides=[value], settings=_nested_settings)
    return [*encoded, *(yield from encoded_hanging(hanging, path))]


@answers_itself
@handles_named(*(f"{httpx}.{name}Transport" for httpx in _HTTPX for name in ("Mock", "WSGI", "ASGI")))
@with_what_the_user_adds
def _transport_that_answers(walker: Walker, value: Any, path: str) -> Parts:
    """Encode a transport that answers itself by what it holds, as it was given: an application grows as it works."""
    held = library_state(value)
    members = yield from walker.members(kept_members(value, held, held, library_state, path), path)
    return ["answering transport", qualified_name(library_class(type(value))), *members]


@handles_named("frozenlist._frozenlist.FrozenList", "frozenlist.FrozenList", "frozenlist.PyFrozenList")
def _list_of_aiohttp(_: Walker, value: Any, path: str) -> Parts:
    return ["list", (yield list(value), path)]


def encoded_hanging(found: list[Hanging], path: str) -> Parts:
    """Each part with where it hangs; what hangs in a set has no order of its own."""
    encoded: list[Encoded] = []
    for place in found:
        keys = yield place.keys, path
        encoded.append([SCALARS[str](place.path), keys, (yield place.part, f"{path}{place.path}")])
    return sorted(encoded, key=canonical)


def hangs_on_client(client: object, besides: Iterable[object] = ()) -> list[Hanging]:
    """The user's code and settings in a client of a library's, `besides` left out."""
    members = {} if client is None else members_to_look_through(client)
    return hanging_on(members, besides=[client, *besides], settings=_nested_settings)


def _nested_settings(value: Any) -> dict[str, object]:
    return _settings(value) if handler_for(type(value)) is _http_client else {}


def _settings(client: Any) -> dict[str, object]:
    """The query and the headers that a client sends with every request, and the socket that it asks."""
    held = library_state(client)
    asked = next((held[name] for name in _QUERIES if held.get(name)), None)
    said = {"query": _pairs(asked)} if asked else {}
    settings = {"headers": client_headers(client), "socket": _socket(client)}
    return {**said, **{name: some for name, some in settings.items() if some}}


def _socket(client: Any) -> object:
    """The path of a socket on this machine, of httpx and aiohttp."""
    for names in ("_pool._uds", "_path"):
        with suppress(AttributeError):
            return attrgetter(names)(client)
    return None


def _pairs(query: Any) -> object:
    """A query by its names, so that secrets among them are left out; a text is one of its own."""
    if isinstance(query, str):
        query = parse_qsl(query, keep_blank_values=True)
    with faults():
        given = query.multi_items() if hasattr(query, "multi_items") else query
        return dict(given) if isinstance(given, Mapping) else _by_name(given)
    return query


def _by_name(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    """Pairs as a mapping; a name that comes more than once has all its values."""
    found: dict[Any, list[Any]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return {name: values if len(values) > 1 else values[0] for name, values in found.items()}


def client_headers(client: object) -> dict[str, str]:
    """The headers that a client sends with every request, as far as they act."""
    held = [value for name, value in sorted(library_state(client).items()) if name.lower().endswith("headers")]
    return {name: value for headers in held for name, value in acting_headers(headers).items()}


def acting_headers(headers: Any) -> dict[str, str]:
    """The headers (a mapping, pairs or lines) that may act on an answer, by their names in lower case.

    Left out are secrets, by their names or because they begin with a scheme of admission, who asks, and which request
    it is.
    """
    acting: dict[str, str] = {}
    for name, value in sorted(_header_pairs(headers)):
        if not _is_left_out(name, value):
            acting[name] = f"{acting[name]}, {value}" if name in acting else value
    return acting


def _header_pairs(headers: Any) -> Iterator[tuple[str, str]]:
    if isinstance(headers, Mapping):
        headers = list(headers.items())
    elif isinstance(headers, str):
        headers = headers.splitlines()
    for one in headers if isinstance(headers, (list, tuple)) else ():
        pair = one.partition(":")[::2] if isinstance(one, str) else one
        if isinstance(pair, (list, tuple)) and pair[1:]:
            yield _text(pair[0]).strip().lower(), _text(pair[1]).strip()


def _is_left_out(name: str, value: str) -> bool:
    says_nothing = (name, value) == ("accept", "*/*")
    return says_nothing or is_secret(name, value) or bool(_NOISE.fullmatch(name)) or bool(_ADMISSION.match(value))


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def client_address(client: object) -> str:
    """The endpoint that a client talks to, as it was built; empty where it has none."""
    for names in _ADDRESSES:
        with suppress(AttributeError):
            found = attrgetter(names)(client)
            if found and (isinstance(found, str) or type(found).__name__ == "URL"):
                return endpoint(str(found))
    return _host_address(client)


def _host_address(client: object) -> str:
    """That of a pool of connections to one host."""
    scheme, host, port = (getattr(client, name, None) for name in ("scheme", "host", "port"))
    return endpoint(f"{scheme}://{host}:{port}") if isinstance(host, str) else ""


def endpoint(url: str, *, query: bool = False) -> str:
    """Scheme, host, port and path of a URL, without user, keys or fragment; with its query minus secrets if asked."""
    parts = urlsplit(url if "://" in url else f"//{url}")
    host = parts.netloc.rpartition("@")[2].lower()
    path = "/".join("" if is_key(part) else part for part in parts.path.rstrip("/").split("/"))
    plain = f"{parts.scheme}://{host}{path}"
    asked = parse_qsl(parts.query, keep_blank_values=True)
    kept = sorted((name, "" if is_secret(name, value) or is_key(value) else value) for name, value in asked)
    return f"{plain}?{urlencode(kept)}" if query and kept else plain
