"""Values as first seen: if running code may change a value, such as a counter, its first value is hashed.

A counter, a cache or an open connection differs after every run: hashed as it is, each run would make the next one
stale. So such a value (see `_marks`) is hashed when it is first seen, and that hash stays for as long as nobody but a
run changes the value: what it is when a run ends is noted, and if it is something else when the next one begins,
somebody has set it, and what it was set to counts from then on. Beside a run that goes on, it counts as it was given; a
global in a run that a tool has started, as it is. Nothing here outlives the objects themselves.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from crew_repo.code.changed_at_work import Marks, forget_marks, marked, marks
from crew_repo.hashing.dispatch import handles
from crew_repo.hashing.walker import Kept, Walker
from crew_repo.secrets.names import is_secret
from crew_repo.time_limits import let_through

if TYPE_CHECKING:
    from crew_repo.canonical import Encoded

__all__ = ["Unclear", "Work", "attributes_of", "forget_interrupted", "kept_members", "looking"]

Read = Callable[[Any], Mapping[str, object]]

_missing: Any = object()


class Unclear(NamedTuple):
    """A value of which it cannot be told who has set it."""

    value: object
    why: str


class _Owner:
    """The values of one object: as they were given, and as the last run left them."""

    __slots__ = ("given", "left", "object", "read", "works")

    def __init__(self, owner: object, read: Read) -> None:
        key = id(owner)
        self.object = weakref.ref(owner, lambda _: _owners.pop(key, None))
        self.read = read
        self.given: dict[str, Kept] = {}
        self.left: dict[str, Kept] = {}
        self.works: set[Work] = set()


class Work:
    """One run's work, on all that was hashed under `hashing`."""

    def __init__(self) -> None:
        self._owners: dict[_Owner, Marks] = {}
        self._ended = False

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """For the length of the run, in its context; then what its objects hold is what it has left."""
        token = _within.set(_within.get() | {self})
        try:
            yield
        finally:
            _within.reset(token)
            self._end()

    @contextmanager
    def hashing(self) -> Iterator[None]:
        """Count what this thread hashes meanwhile as what the run works with from here on."""
        outer, _local.work = _local.work, self
        try:
            yield
        finally:
            _local.work = outer

    def takes_up(self, owner: _Owner) -> None:
        """Changes of its values are the run's from here on."""
        with _lock:
            if not self._ended:
                self._owners[owner] = marks()
                owner.works.add(self)

    def _end(self) -> None:
        with _lock:
            self._ended, owners, self._owners = True, self._owners, {}
        for owner, found in owners.items():
            with marked(found):
                _note_end(owner)
        with _lock:
            for owner in owners:
                owner.works.discard(self)


class _Local(threading.local):
    """The objects whose values this thread is hashing, and what it has found on the way."""

    def __init__(self) -> None:
        self.under_way: set[int] = set()
        self.found: dict[tuple[int, str], Kept] = {}
        self.work: Work | None = None


_ABSENT, _UNDER_WAY = Kept(["absent"]), Kept(["under way"])
_owners: dict[int, _Owner] = {}
_local = _Local()
_within: ContextVar[frozenset[Work]] = ContextVar("crew_repo_works", default=frozenset())
_lock = threading.Lock()


@contextmanager
def looking() -> Iterator[None]:
    """For a look at a crew: what the classes of its outputs leave in memory, as these are read, is work as in a run."""
    if _local.work is not None:
        yield
        return
    work = Work()
    with work.under_way(), work.hashing():
        yield


def forget_interrupted() -> None:
    """Nothing is being hashed in this thread: what a signal handler raised may have kept it from ending.

    For whoever begins with something, and does so while nothing is hashed.
    """
    forget_marks()
    _local.work = None
    _local.under_way.clear()
    _local.found.clear()


def _note_end(owner: _Owner) -> None:
    alive = owner.object()
    try:
        owner.left = {} if alive is None else _see(alive, owner.given, owner.read, "")
    except Exception as error:  # noqa: BLE001 - an object's own code may raise anything; what it holds then counts as changed
        let_through(error)
        owner.left = {}


def _given(owner: object, names: Iterable[str], read: Read, path: str) -> Mapping[str, Kept]:
    if id(owner) in _local.under_way:
        return dict.fromkeys(names, _UNDER_WAY)
    known, work = _owner(owner, read), _local.work
    now = _see(owner, names, read, path)
    inner = _within.get() - {work}
    if known is None or (inner and isinstance(owner, ModuleType)):
        return now
    others = known.works - {work}
    for name, kept in now.items():
        is_work = others and name in known.given
        if not is_work and not kept.same_as(known.left.get(name)) and not (work in known.works and name in known.given):
            known.given[name] = known.left[name] = kept
    if work is not None:
        work.takes_up(known)
    return {name: known.given[name] for name in names}


def _owner(owner: object, read: Read) -> _Owner | None:
    known = _owners.get(id(owner))
    if known is None or known.object() is not owner:
        try:
            known = _owners[id(owner)] = _Owner(owner, read)
        except TypeError:  # it cannot be referred to weakly
            return None
    return known


def _see(owner: object, names: Iterable[str], read: Read, path: str) -> dict[str, Kept]:
    """Hash values on their own; one that leads back to its owner ends there (see `_given`)."""
    _local.under_way.add(id(owner))
    try:
        held = read(owner)
        return {name: _see_one(owner, name, held.get(name, _missing), f"{path}.{name}") for name in names}
    finally:
        _local.under_way.discard(id(owner))
        if not _local.under_way:
            _local.found.clear()


def _see_one(owner: object, name: str, value: object, path: str) -> Kept:
    if value is _missing:
        return _ABSENT
    found = _local.found.get((id(owner), name))
    if found is None:
        walker = Walker(path, None, ordered=True, holder=owner)
        encoded = walker.encode(value, path)
        opaque = frozenset(walker.opaque)
        told = value if opaque else None
        found = Kept(encoded, opaque, tuple(sorted(walker.environment.items())), told, frozenset(walker.asides))
        _local.found[id(owner), name] = found
    return found


def kept_members(
    owner: object, held: Mapping[str, object], changed: Iterable[str], read: Read, path: str
) -> list[tuple[str, object]]:
    """Members for the walk: those that work changes, as they were given. Secrets stand as they are, to be left out."""
    names = sorted(name for name in changed if name not in held or not is_secret(name, held[name]))
    kept = _given(owner, names, read, path) if names else {}
    members = {**held, **{name: some for name, some in kept.items() if some is not _ABSENT}}
    return [(name, value) for name, value in members.items() if kept.get(name) is not _ABSENT]


def attributes_of(
    owner: Any, held: Mapping[str, object], read: Read, path: str, cls: type | None = None
) -> list[tuple[str, object]]:
    """The attributes of an object, or of a class, for the walk."""
    kind = cls or type(owner)
    found = marks()
    members = kept_members(owner, held, found.attributes(kind, held), read, path)
    unclear = {name: why for name in held if (why := found.unclear(kind, name)) and not is_secret(name, held[name])}
    return [(name, Unclear(value, unclear[name]) if name in unclear else value) for name, value in members]


@handles(Unclear)
def _unclear(walker: Walker, value: Unclear, path: str) -> list[Encoded]:
    return walker.hidden(value.value, path, value.why)
