"""Types that carry no answer: they are hashed by type, as stateless, or reported as opaque."""

from __future__ import annotations

import functools
import logging
import threading
import types
import weakref
from collections.abc import Callable, Mapping
from contextvars import Context, ContextVar, Token
from os import environ
from typing import TYPE_CHECKING, Any

from crew_repo.hashing._canonical import Encoded
from crew_repo.hashing._dispatch import handles, handles_named
from crew_repo.hashing._kept import attributes_of
from crew_repo.hashing._origin import is_own_class, qualified_name
from crew_repo.hashing._secrets import hand_over
from crew_repo.hashing._state import instance_state
from crew_repo.hashing._usage import assigned_in

if TYPE_CHECKING:
    from crew_repo.hashing._walker import Parts, Steps, Walker

__all__: list[str] = []

_STANDARD_STREAMS = frozenset({"<stdin>", "<stdout>", "<stderr>"})


def _with_what_the_user_adds(handler: Callable[[Walker, Any, str], Steps]) -> Callable[[Walker, Any, str], Steps]:
    """Of the user's own subclass, its class and the fields that the library's classes do not have count as well."""

    @functools.wraps(handler)
    def handle(walker: Walker, value: Any, path: str) -> Steps:
        steps = handler(walker, value, path)
        return _derived(walker, value, path, steps) if any(map(is_own_class, type(value).__mro__)) else steps

    return handle


def _library_class(kind: type) -> type:
    return next(base for base in kind.__mro__ if not is_own_class(base))


def _derived(walker: Walker, value: Any, path: str, steps: Steps) -> Parts:
    contents = steps if isinstance(steps, list) else (yield from steps)
    kind = yield type(value), path
    library = frozenset().union(*(assigned_in(base) for base in type(value).__mro__ if not is_own_class(base)))
    held = {name: part for name, part in instance_state(value).items() if name not in library}
    members = attributes_of(value, held, instance_state, path)
    return ["derived", kind, contents, *(yield from walker.members(members, path))]


@handles(
    *(type(threading.Lock()), type(threading.RLock()), threading.Event, threading.Condition, threading.Semaphore),
    *(threading.Barrier, threading.local, threading.Thread),
    *(logging.Logger, logging.LoggerAdapter, logging.Handler, logging.Filter, logging.Formatter),
    *(Context, Token, type(environ)),
    *(weakref.ref, weakref.WeakSet, weakref.WeakKeyDictionary, weakref.WeakValueDictionary, weakref.finalize),
    *(weakref.ProxyType, weakref.CallableProxyType),
)
@handles_named(
    *("asyncio.locks.Lock", "asyncio.locks.Event", "asyncio.locks.Condition", "asyncio.locks.Semaphore"),
    *("asyncio.events.AbstractEventLoop", "concurrent.futures._base.Executor", "multiprocessing.synchronize.SemLock"),
    *("loguru._logger.Logger", "structlog._config.BoundLoggerLazyProxy", "structlog._base.BoundLoggerBase"),
    *("rich.console.Console", "tqdm.std.tqdm", "opentelemetry.trace.Tracer"),
)
@_with_what_the_user_adds
def _stateless(_walker: Walker, value: object, _path: str) -> list[Encoded]:
    return ["stateless", qualified_name(_library_class(type(value)))]


@handles_named(
    *("requests.sessions.Session", "urllib3.poolmanager.PoolManager", "aiohttp.client.ClientSession"),
    *("httpx._client.BaseClient", "httpx.Client", "httpx.AsyncClient", "openai._base_client.BaseClient"),
    "anthropic._base_client.BaseClient",
)
@_with_what_the_user_adds
def _http_client(_: Walker, value: Any, path: str) -> Parts:
    """Connections, headers and timeouts come and go; where it talks to stays, what it always asks, and who answers."""
    hand_over(value)
    address = getattr(value, "base_url", None)
    place = [str(getattr(address, part, "")) for part in ("scheme", "host", "port", "path")] if address else []
    asked = getattr(value, "params", None)
    asked = dict(asked) if isinstance(asked, Mapping) else asked
    parameters = [(yield asked, f"{path}.params")] if asked else []
    transport = getattr(value, "_transport", None)  # httpx: one that asks no server answers itself
    answered = [(yield transport, f"{path}.transport")] if _answers_itself(type(transport)) else []
    return ["http client", qualified_name(_library_class(type(value))), *place, *parameters, *answered]


def _answers_itself(kind: type) -> bool:
    return is_own_class(kind) or kind.__name__ in {"MockTransport", "WSGITransport", "ASGITransport"}


@handles(ContextVar)
def _context_variable(_: Walker, value: ContextVar[Any], path: str) -> Parts:
    """What it stands for in this context, as a global's value is."""
    try:
        said = value.get()
    except LookupError:
        return ["context variable", value.name]
    return ["context variable", value.name, (yield said, path)]


@handles(
    *(types.GeneratorType, types.CoroutineType, types.AsyncGeneratorType, types.FrameType, types.TracebackType),
)
def _running(walker: Walker, value: object, path: str) -> list[Encoded]:
    return walker.hidden(value, path, "is a computation under way")


@handles_named(
    *("redis.client.Redis", "redis.asyncio.client.Redis", "pymongo.mongo_client.MongoClient"),
    *("botocore.client.BaseClient", "boto3.resources.base.ServiceResource"),
    *("sqlalchemy.engine.base.Engine", "sqlalchemy.engine.base.Connection", "sqlalchemy.orm.session.Session"),
    *("sqlalchemy.ext.asyncio.engine.AsyncEngine", "sqlalchemy.ext.asyncio.session.AsyncSession"),
    *("psycopg._connection_base.BaseConnection", "psycopg2.extensions.connection", "sqlite3.Connection"),
    *("crew_repo.repository.StateRepository", "crew_repo.store.store.Store"),
    *("elasticsearch._sync.client.Elasticsearch", "qdrant_client.qdrant_client.QdrantClient"),
    *("chromadb.api.client.SharedSystemClient", "pymysql.connections.Connection", "neo4j._sync.driver.Driver"),
)
def _database_client(walker: Walker, value: object, path: str) -> list[Encoded]:
    hand_over(value)
    return walker.hidden(value, path, "stands for data that is kept elsewhere")


@handles_named(
    *("_socket.socket", "subprocess.Popen", "multiprocessing.process.BaseProcess"),
    *("multiprocessing.connection.Connection", "_multiprocessing.Connection"),
    *("tempfile._TemporaryFileWrapper", "_ctypes._SimpleCData", "_ctypes._Pointer", "_ctypes.CFuncPtr"),
    *("_ctypes.Structure", "_ctypes.Union", "_ctypes.Array", "ctypes.CDLL", "queue.Queue", "asyncio.queues.Queue"),
    *("_asyncio.Future", "asyncio.futures.Future", "concurrent.futures._base.Future"),
)
def _of_the_system(walker: Walker, value: object, path: str) -> list[Encoded]:
    return walker.hidden(value, path, "belongs to the running process")


@handles_named("_io._IOBase", "io.IOBase")
def _file(walker: Walker, value: Any, path: str) -> Steps:
    name = getattr(value, "name", None)
    if name in _STANDARD_STREAMS:
        return ["stateless", str(name)]
    return walker.hidden(value, path, "is an open file")
