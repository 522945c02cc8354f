"""Connections to data elsewhere, such as databases and buckets: the address counts, the data cannot be seen.

What stands there cannot be seen, just as where a tool connects inside its function; the walk tells it once, as
`Opaque.elsewhere`. A handle whose place cannot be read is opaque, and so is one of data in this process's memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from crew_repo.canonical import SCALARS, Encoded
from crew_repo.code.ownership import is_own_class, qualified_name
from crew_repo.hashing.attachments import Hanging, hanging_on, hooks_of, leads_nowhere
from crew_repo.hashing.dispatch import handles_named
from crew_repo.hashing.handlers.http_clients import encoded_hanging
from crew_repo.introspection import instance_state
from crew_repo.secrets.finding import hand_over, without_password
from crew_repo.secrets.names import is_secret_name
from crew_repo.time_limits import faults

if TYPE_CHECKING:
    from crew_repo.hashing.dispatch import Parts, Steps
    from crew_repo.hashing.walker import Walker

__all__: list[str] = []

_UNREADABLE = "stands for data that is kept elsewhere, and does not say where"
_IN_MEMORY = "stands for data in the memory of this process"
# Names that say where data is; identifiers, counters and times are none of them.
_PLACE = re.compile(
    r"(.*[_ ])?(url|uri|dsn|hosts?|hostname|port|database|dbname|db|path|location|dir|directory|folder|bucket"
    r"|collection|table|keyspace|region|tenant|namespace|drivername|username|user)(_name|_prefix)?"
)
# Names of the parts of a client that hold its settings.
_SETTINGS = re.compile(
    r"_*(.*_)?(settings|config|options|kwargs|url|bind|meta|endpoint|client|server|system|pool|engine|info|transport"
    r"|sync_engine|sync_session|node_pool|seeds|seed_nodes)"
)
_MEMORY = {":memory:"}
_DEEPEST = 5


@leads_nowhere
@handles_named(
    *("redis.client.Redis", "redis.client.PubSub", "redis.connection.ConnectionPool"),
    *("redis.asyncio.client.Redis", "redis.asyncio.client.PubSub", "redis.asyncio.connection.ConnectionPool"),
    *("pymongo.synchronous.mongo_client.MongoClient", "pymongo.asynchronous.mongo_client.AsyncMongoClient"),
    *("pymongo.mongo_client.MongoClient", "botocore.client.BaseClient"),
    *("sqlalchemy.engine.base.Engine", "sqlalchemy.engine.base.Connection", "sqlalchemy.orm.session.Session"),
    *("sqlalchemy.ext.asyncio.engine.AsyncEngine", "sqlalchemy.ext.asyncio.session.AsyncSession"),
    *("psycopg._connection_base.BaseConnection", "psycopg2.extensions.connection", "sqlite3.Connection"),
    *("elasticsearch._sync.client._base.BaseClient", "elasticsearch._async.client._base.BaseClient"),
    *("qdrant_client.qdrant_client.QdrantClient", "qdrant_client.async_qdrant_client.AsyncQdrantClient"),
    *("chromadb.api.BaseAPI", "chromadb.api.AdminAPI", "chromadb.api.client.SharedSystemClient"),
    *("chromadb.api.shared_system_client.SharedSystemClient", "pymysql.connections.Connection"),
    *("neo4j._sync.driver.Driver", "lancedb.db.DBConnection"),
)
def _handle(walker: Walker, value: object, path: str) -> Steps:
    hand_over(value)
    places = sorted(set(_places(value)))
    if _is_in_memory(places):
        return walker.hidden(value, path, _IN_MEMORY)
    if not places or any(map(is_own_class, type(value).__mro__)):
        return walker.hidden(value, path, _UNREADABLE)
    hooks = hanging_on(hooks_of(value))
    encoded = _elsewhere(walker, value, path, places)
    return _with_hooks(encoded, hooks, path) if hooks else encoded


def _elsewhere(walker: Walker, value: object, path: str, places: Sequence[tuple[str, str]]) -> list[Encoded]:
    """Encode a handle by its kind and its places; the data are not seen, which the walk reports."""
    kind = qualified_name(type(value))
    said = ", ".join(f"{name} {said}" for name, said in places) or "a scratch folder"
    walker.opaque.add((path, f"{type(value).__qualname__} (a {kind}): {said}", True, tuple(places)))
    return ["elsewhere", kind, *([SCALARS[str](name), SCALARS[str](said)] for name, said in places)]


def _with_hooks(encoded: list[Encoded], hooks: list[Hanging], path: str) -> Parts:
    return [*encoded, *(yield from encoded_hanging(hooks, path))]


def _is_in_memory(places: list[tuple[str, str]]) -> bool:
    """Whether a database is of this process alone: SQLite's without a file, Chroma's without a folder or a server."""
    names = {name for name, _ in places}
    if any(said in _MEMORY for _, said in places) or (("drivername", "sqlite") in places and "database" not in names):
        return True
    return ("is_persistent", "False") in places and "chroma_server_host" not in names


def _places(value: object, depth: int = _DEEPEST) -> Iterator[tuple[str, str]]:
    """Where a client's data is, by the names of its settings; passwords and what is not set are left out."""
    for name, part in _members(value).items():
        if is_secret_name(name) or part is None or part == "":
            continue
        if isinstance(part, (str, int, PurePath)):
            if _PLACE.fullmatch(name.strip("_")) or name == "is_persistent":
                yield name.strip("_"), without_password(str(part))
        elif depth and _SETTINGS.fullmatch(name):
            for one in part if type(part) in (list, tuple, set, frozenset) else [part]:
                yield from _places(one, depth - 1)


def _members(value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return {name: part for name, part in value.items() if isinstance(name, str)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return dict(value._asdict())
    if qualified_name(type(value)) == "sqlite3.Connection":
        files = {f"{name} path": file for _, name, file in value.execute("PRAGMA database_list")}
        return files if files.get("main path") else {}
    held = instance_state(value)
    with faults():  # of compiled drivers: LanceDB has `uri`
        held["uri"] = str(value.uri)
    with faults():  # of compiled drivers: psycopg has `info`
        held.update({name: getattr(value.info, name) for name in ("host", "port", "dbname", "user")})
    return held


@leads_nowhere
@handles_named("boto3.resources.base.ServiceResource")
def _resource(_: Walker, value: Any, path: str) -> Parts:
    """A bucket, a table, an object in a bucket: what identifies it, and its client; of its data it keeps a copy."""
    named = yield {name: getattr(value, name) for name in sorted(value.meta.identifiers)}, path
    return ["resource", qualified_name(type(value)), named, (yield value.meta.client, f"{path}.meta.client")]


@leads_nowhere
@handles_named("chromadb.api.models.CollectionCommon.CollectionCommon")
def _collection(_: Walker, value: Any, path: str) -> Parts:
    """Its name and its client; its identifier is another one wherever it is made anew."""
    return ["collection", SCALARS[str](value.name), (yield value._client, f"{path}._client")]


@leads_nowhere
@handles_named("crew_repo.repository.StateRepository", "crew_repo.store.store.Store")
def _repository(walker: Walker, value: object, path: str) -> list[Encoded]:
    """Answers of this or another crew: what runs write there is read in the next."""
    hand_over(value)
    return walker.hidden(value, path, "stands for data that is kept elsewhere")


@leads_nowhere
@handles_named("tempfile.TemporaryDirectory")
def _scratch_folder(walker: Walker, value: object, path: str) -> list[Encoded]:
    return _elsewhere(walker, value, path, [])
