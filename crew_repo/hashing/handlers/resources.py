"""Types that cannot change an answer, such as locks, count by their type. Others are reported as not hashable."""

from __future__ import annotations

import functools
import io
import logging
import threading
import types
import weakref
from collections.abc import Callable
from contextvars import Context, ContextVar, Token
from os import environ
from typing import TYPE_CHECKING, Any

from crew_repo.canonical import Encoded
from crew_repo.code.environment import is_environment
from crew_repo.code.name_usage import assigned_in
from crew_repo.code.ownership import is_own_class, qualified_name
from crew_repo.hashing.as_first_seen import attributes_of, kept_members
from crew_repo.hashing.asides import ASKS_VARIABLES
from crew_repo.hashing.attachments import hanging_on, leads_nowhere, plain_arguments
from crew_repo.hashing.dispatch import handles, handles_named
from crew_repo.introspection import instance_state, whole_state

if TYPE_CHECKING:
    from crew_repo.hashing.dispatch import Parts, Steps
    from crew_repo.hashing.walker import Walker

__all__ = ["library_class", "library_state", "whole_library_state", "with_what_the_user_adds"]

# Of a thread, of a timer, and of a pool of threads or processes.
_WORK = {"_target", "_args", "_kwargs", "function", "args", "kwargs", "_initializer", "_initargs"}
_ARGUMENTS = (("_args", "args", "_initargs"), ("_kwargs", "kwargs"))
_STANDARD_STREAMS = frozenset({"<stdin>", "<stdout>", "<stderr>"})


def with_what_the_user_adds(handler: Callable[[Walker, Any, str], Steps]) -> Callable[[Walker, Any, str], Steps]:
    """Add, of a user's subclass, its class and the fields that the library's classes do not have."""

    @functools.wraps(handler)
    def handle(walker: Walker, value: Any, path: str) -> Steps:
        steps = handler(walker, value, path)
        return _derived(walker, value, path, steps) if any(map(is_own_class, type(value).__mro__)) else steps

    return handle


def library_class(kind: type) -> type:
    """The nearest class that is not the user's."""
    return next(base for base in kind.__mro__ if not is_own_class(base))


def library_state(value: object) -> dict[str, Any]:
    """The attributes of an object, but for those that the user's own class adds to a library's."""
    held = instance_state(value)
    if not any(map(is_own_class, type(value).__mro__)):
        return held
    return {name: part for name, part in held.items() if name in _library_names(type(value))}


def whole_library_state(value: object) -> dict[str, Any]:
    """The attributes of an object that are a library's, and what that library's cached properties keep."""
    known = frozenset().union(*(vars(base) for base in type(value).__mro__ if not is_own_class(base)))
    return {**{name: part for name, part in whole_state(value).items() if name in known}, **library_state(value)}


def _library_names(kind: type) -> frozenset[str]:
    return frozenset().union(*(assigned_in(base) for base in kind.__mro__ if not is_own_class(base)))


def _derived(walker: Walker, value: Any, path: str, steps: Steps) -> Parts:
    contents = steps if isinstance(steps, list) else (yield from steps)
    kind = yield type(value), path
    library = _library_names(type(value))
    held = {name: part for name, part in instance_state(value).items() if name not in library}
    members = attributes_of(value, held, instance_state, path)
    return ["derived", kind, contents, *(yield from walker.members(members, path))]


@leads_nowhere
@handles(
    *(type(threading.Lock()), type(threading.RLock()), threading.Event, threading.Condition, threading.Semaphore),
    *(threading.Barrier, threading.local),
    *(logging.Logger, logging.LoggerAdapter, logging.Handler, logging.Filter, logging.Formatter),
    *(Context, Token),
    *(weakref.ref, weakref.WeakSet, weakref.WeakKeyDictionary, weakref.WeakValueDictionary, weakref.finalize),
    *(weakref.ProxyType, weakref.CallableProxyType),
)
@handles_named(
    *("asyncio.locks.Lock", "asyncio.locks.Event", "asyncio.locks.Condition", "asyncio.locks.Semaphore"),
    *("asyncio.events.AbstractEventLoop", "multiprocessing.synchronize.SemLock"),
    *("multiprocessing.synchronize.Condition", "multiprocessing.synchronize.Event", "_multiprocessing.SemLock"),
    *("loguru._logger.Logger", "structlog._config.BoundLoggerLazyProxy", "structlog._base.BoundLoggerBase"),
    *("rich.console.Console", "tqdm.std.tqdm", "opentelemetry.trace.Tracer", "_ssl._SSLContext"),
    *("filelock._api.BaseFileLock", "filelock._core._lock.BaseFileLock", "portalocker.utils.LockBase"),
)
@with_what_the_user_adds
def _stateless(_walker: Walker, value: object, _path: str) -> list[Encoded]:
    return ["stateless", qualified_name(library_class(type(value)))]


@leads_nowhere
@handles(type(environ))
def _environment(walker: Walker, value: object, path: str) -> list[Encoded]:
    """The environment itself says nothing; code that holds it may ask it for whatever is named anywhere."""
    if is_environment(value, path):
        walker.asides.add(ASKS_VARIABLES)
    return ["stateless", qualified_name(type(value))]


@leads_nowhere
@handles(threading.Thread)
@handles_named("concurrent.futures._base.Executor")
@with_what_the_user_adds
def _thread(walker: Walker, value: object, path: str) -> Parts:
    """Stateless, but for what it calls: that counts as it was given, since a thread forgets it at its end."""
    kept = kept_members(value, _work_of(value), ["said", "work"], _work_of, path)
    return ["stateless", qualified_name(library_class(type(value))), *(yield from walker.members(kept, path))]


def _work_of(thread: object) -> dict[str, object]:
    """The call of a thread, a timer or a pool, with its arguments; of a library's function only texts and numbers."""
    work = {name: some for name, some in instance_state(thread).items() if name in _WORK}
    if hanging_on(work):
        return {"work": work}
    args, keywords = (next((work[name] for name in names if work.get(name)), None) for names in _ARGUMENTS)
    said = plain_arguments(functools.partial(print, *(args or ()), **(keywords or {})))
    return {"said": said} if said else {}


@handles(ContextVar)
def _context_variable(_: Walker, value: ContextVar[Any], path: str) -> Parts:
    """Encode a context variable by its value in this context, as a global is."""
    try:
        said = value.get()
    except LookupError:
        return ["context variable", value.name]
    return ["context variable", value.name, (yield said, path)]


@leads_nowhere
@handles(
    *(types.GeneratorType, types.CoroutineType, types.AsyncGeneratorType, types.FrameType, types.TracebackType),
)
def _running(walker: Walker, value: object, path: str) -> list[Encoded]:
    return walker.hidden(value, path, "is a computation under way")


@leads_nowhere
@handles_named(
    *("_socket.socket", "subprocess.Popen", "multiprocessing.process.BaseProcess"),
    *("multiprocessing.connection.Connection", "_multiprocessing.Connection"),
    *("tempfile._TemporaryFileWrapper", "_ctypes._SimpleCData", "_ctypes._Pointer", "_ctypes.CFuncPtr"),
    *("_ctypes.Structure", "_ctypes.Union", "_ctypes.Array", "ctypes.CDLL"),
    *("_asyncio.Future", "asyncio.futures.Future", "concurrent.futures._base.Future"),
)
def _of_the_system(walker: Walker, value: object, path: str) -> list[Encoded]:
    return walker.hidden(value, path, "belongs to the running process")


@leads_nowhere
@handles_named("_io._IOBase", "io.IOBase")
def _file(walker: Walker, value: Any, path: str) -> Steps:
    name = getattr(value, "name", None)
    if name in _STANDARD_STREAMS:
        return ["stateless", str(name)]
    if isinstance(value, (io.StringIO, io.BytesIO)) and not value.closed:
        return ["buffer", walker.scalar(value.getvalue()), value.tell()]
    return walker.hidden(value, path, "is an open file")


@handles_named("queue.Queue", "asyncio.queues.Queue", "_queue.SimpleQueue", "queue.SimpleQueue")
@with_what_the_user_adds
def _queue(walker: Walker, value: Any, path: str) -> Steps:
    """Encode what waits in a queue, as far as that can be read: a simple one can only say that it is empty."""
    waiting = getattr(value, "queue", getattr(value, "_queue", None))
    if waiting is None and not value.empty():
        return walker.hidden(value, path, "keeps its state where Python cannot read it")
    return _waiting(value, list(waiting or ()), path)


def _waiting(value: Any, waiting: list[Any], path: str) -> Parts:
    return ["queue", qualified_name(library_class(type(value))), getattr(value, "maxsize", 0), (yield waiting, path)]
