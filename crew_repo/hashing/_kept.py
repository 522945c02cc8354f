"""What code writes on its own objects counts as it was given, not as runs have left it.

A counter, a cache or an open connection differs after every run: hashed as it is, each run would make the next one
stale. Left out, `tool.load("a.csv")` and `tool.load("b.csv")` would be one tool. So such a value is hashed when it is
first seen, and that hash stays for as long as nobody but a run changes the value: what it is when a run ends is noted,
and if it is something else later, somebody has set it, and what it was set to counts from then on.

From when a run has hashed a value until the run ends, changes of it count as the run's work: all that a task works with
is hashed before the task is executed. What other runs hash is no affair of this one's; and for a run within a run (a
tool that kicks off a crew), what the outer one has done before is what it was given. Nothing here outlives the objects
themselves.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple

from crew_repo.hashing._dispatch import handles
from crew_repo.hashing._secret_names import is_secret
from crew_repo.hashing._walker import Hashed, walk

if TYPE_CHECKING:
    from crew_repo.hashing._canonical import Encoded
    from crew_repo.hashing._walker import Walker

__all__ = ["Kept", "Work", "kept_members", "kept_values"]

Read = Callable[[Any], Mapping[str, object]]

_missing: Any = object()


class Kept(NamedTuple):
    """A value that stands for itself as it was given; the walk encodes the hash of that."""

    hashed: Hashed


class _Seen(NamedTuple):
    """A value at one moment. What cannot be hashed is told from its like by being another object."""

    hashed: Hashed
    opaque: object = None

    def same_as(self, other: _Seen | None) -> bool:
        return other is not None and self.hashed.sha256 == other.hashed.sha256 and self.opaque is other.opaque


class _Owner:
    """What is known of the written values of one object: as they were given, and as the last run left them."""

    __slots__ = ("given", "last", "object", "read", "works")

    def __init__(self, owner: object, read: Read) -> None:
        key = id(owner)
        self.object = weakref.ref(owner, lambda _: _owners.pop(key, None))
        self.read = read
        self.given: dict[str, _Seen] = {}
        self.last: dict[str, _Seen] = {}
        self.works: set[Work] = set()


class Work:
    """What one run does to the objects that it works with: to all whose values were hashed under `hashing`."""

    def __init__(self) -> None:
        self._given: dict[_Owner, dict[str, _Seen]] = {}
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
        """What this thread hashes meanwhile is what the run works with from here on."""
        outer, _local.work = _local.work, self
        try:
            yield
        finally:
            _local.work = outer

    def given(self, owner: _Owner) -> Mapping[str, _Seen]:
        """What the run has taken up of this object."""
        return self._given.get(owner, {})

    def takes_up(self, owner: _Owner, given: Mapping[str, _Seen]) -> None:
        """Changes of these values are the run's from here on."""
        with _lock:
            if not self._ended:
                self._given[owner] = {**given, **self._given.get(owner, {})}
                owner.works.add(self)

    def _end(self) -> None:
        with _lock:
            self._ended, owners, self._given = True, self._given, {}
        for owner, given in owners.items():
            owner.given.update(given)
            _note_end(owner)
        with _lock:
            for owner in owners:
                owner.works.discard(self)


class _Local(threading.local):
    """The objects whose written values this thread is hashing, and what it has found on the way."""

    def __init__(self) -> None:
        self.under_way: set[int] = set()
        self.found: dict[tuple[int, str], _Seen] = {}
        self.work: Work | None = None


_ABSENT = _Seen(Hashed("absent"))
_UNDER_WAY = Hashed("under way")
_owners: dict[int, _Owner] = {}
_local = _Local()
_within: ContextVar[frozenset[Work]] = ContextVar("crew_repo_works", default=frozenset())
_lock = threading.Lock()


def _note_end(owner: _Owner) -> None:
    alive = owner.object()
    try:
        owner.last = {} if alive is None else _see(alive, owner.given, owner.read, "")
    except Exception:  # noqa: BLE001 - an object's own code may raise anything; what it holds then counts as changed
        owner.last = {}


def kept_values(owner: object, names: Iterable[str], read: Read, path: str) -> dict[str, Hashed]:
    """The written values of an object, as they were given. `read` gives what it holds by now, by name."""
    if id(owner) in _local.under_way:  # what it holds leads back to it: nothing is learnt of it there
        return dict.fromkeys(names, _UNDER_WAY)
    known = _owner(owner, read)
    if known is None:  # nothing can be remembered of it
        return {name: seen.hashed for name, seen in _see(owner, names, read, path).items()}
    work = _local.work
    taken = {} if work is None else work.given(known)
    at_work = known.works - _within.get() - {work}
    unknown = [name for name in names if name not in taken and not (at_work and name in known.given)]
    for name, now in _see(owner, unknown, read, path).items():
        if not now.same_as(known.last.get(name)):
            known.given[name] = known.last[name] = now
    given = {name: taken.get(name) or known.given[name] for name in names}
    if work is not None:
        work.takes_up(known, given)
    return {name: seen.hashed for name, seen in given.items()}


def _owner(owner: object, read: Read) -> _Owner | None:
    known = _owners.get(id(owner))
    if known is None or known.object() is not owner:
        try:
            known = _owners[id(owner)] = _Owner(owner, read)
        except TypeError:  # it cannot be referred to weakly
            return None
    return known


def _see(owner: object, names: Iterable[str], read: Read, path: str) -> dict[str, _Seen]:
    """Hash values on their own; one that leads back to its owner ends there, in `kept_values`."""
    _local.under_way.add(id(owner))
    try:
        held = read(owner)
        return {name: _see_one(owner, name, held.get(name, _missing), f"{path}.{name}") for name in names}
    finally:
        _local.under_way.discard(id(owner))
        if not _local.under_way:
            _local.found.clear()


def _see_one(owner: object, name: str, value: object, path: str) -> _Seen:
    if value is _missing:
        return _ABSENT
    found = _local.found.get((id(owner), name))
    if found is None:
        hashed = walk("state", value, path, ordered=True, holder=owner)
        found = _local.found[id(owner), name] = _Seen(hashed, value if hashed.opaque else None)
    return found


def kept_members(owner: object, written: Iterable[str], read: Read, path: str) -> list[tuple[str, object]]:
    """The written values of an object as members for the walk; secrets stand as they are, to be left out there."""
    held = read(owner)
    secret = {name: held[name] for name in written if name in held and is_secret(_last(name), held[name])}
    kept = kept_values(owner, sorted(set(written) - set(secret)), read, path)
    return [*secret.items(), *((name, Kept(hashed)) for name, hashed in kept.items())]


def _last(name: str) -> str:
    return name.rpartition(".")[2]


@handles(Kept)
def _kept(walker: Walker, value: Kept, _path: str) -> list[Encoded]:
    walker.opaque.update((opaque.path, opaque.why, opaque.elsewhere) for opaque in value.hashed.opaque)
    walker.environment.update(value.hashed.environment)
    return ["kept", value.hashed.sha256]
