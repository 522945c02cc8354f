"""The walk over a graph of objects: every part is encoded once, cycles end, and no part is dropped.

Handlers say what a value consists of. One that has parts is a generator: it yields `(part, path)`, is sent the part's
encoding, and returns its own. The walk keeps its own stack, so depth is bounded by memory and not by the interpreter.

A part that has been encoded is the digest of its encoding, so shared parts cost nothing and sharing does not show.
Inside a cycle the way back is `["ref", n]`: n parts back, in the order of the visit. The parts of a cycle are settled
together, when its first part is (Tarjan's algorithm), since only then does their encoding not depend on the way in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import NoneType
from typing import Any, NamedTuple

from crew_repo.canonical import SCALARS, Encoded, seal
from crew_repo.code.ownership import is_own_class, qualified_name
from crew_repo.code.project_paths import Root, is_absolute, located, root_of
from crew_repo.hashing.asides import Aside, spoken, variables, with_docstrings
from crew_repo.hashing.dispatch import Part, Parts, handler_for, has_registered
from crew_repo.model import Opaque
from crew_repo.plain_data import PLAIN_TYPES, is_large, mark_of, recall, remember
from crew_repo.secrets.finding import (
    hand_over,
    keys_of_environment,
    may_hold_secrets,
    speaks_secret,
    without_password,
)
from crew_repo.secrets.forms import MASK, SHORTEST_KEY, is_key
from crew_repo.secrets.names import is_secret
from crew_repo.time_limits import let_through

__all__ = ["Hashed", "Kept", "Walker", "left_out", "secret", "walk"]

_UNKNOWN: Any = object()
_DEEPEST = 10_000
_NUMBERS = frozenset({int, float, bool, NoneType})


class Hashed(NamedTuple):
    """A hash, and what of the value could not be read into it.

    With anything opaque the hash proves nothing, unless that only tells of data elsewhere (`Opaque.elsewhere`).

    `environment` has the hash of each variable of the environment that code in it reads; `sha256` is without them.
    `globals` has the hash of each global that it reads, only to say which of them has changed.
    """

    sha256: str
    opaque: tuple[Opaque, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    globals: tuple[tuple[str, str], ...] = ()


class Kept(NamedTuple):
    """A part that was encoded before, and what could not be read of it."""

    encoded: Encoded
    opaque: frozenset[tuple[Any, ...]] = frozenset()
    environment: tuple[tuple[str, str], ...] = ()
    value: object = None  # of what cannot be hashed, which is told from its like by being another object
    asides: frozenset[Aside] = frozenset()

    def same_as(self, other: Kept | None) -> bool:
        """Whether nothing was changed."""
        return other is not None and self.encoded == other.encoded and self.value is other.value


class _Frame:
    """One part that is being encoded. `low` is the furthest part back that it, or a part of it, refers to.

    `cyclic`: a part of it is in a cycle, whose encoding shows where the cycle was entered. `bound`: a part of it was
    read as it is only here and now: a path in a project, a secret, something opaque.
    """

    __slots__ = ("bound", "cyclic", "depth", "index", "low", "outer", "path", "roots", "steps", "value")

    def __init__(self, value: object, path: str, index: int, outer: _Frame | None) -> None:
        self.value, self.path, self.index, self.low, self.outer = value, path, index, index, outer
        self.depth: int = outer.depth + 1 if outer else 0
        self.cyclic = self.bound = False
        self.steps: Parts | None = None
        self.roots: tuple[Root, ...] | None = None


def _roots(frame: _Frame | None, holder: object) -> tuple[Root, ...]:
    """The projects of the code that a part stands in, the nearest first; outside of all parts, that of the holder."""
    if frame is None:
        own = root_of(holder) if holder is not None else ()
        return (own,) if own else ()
    if frame.roots is None:
        own, around = root_of(frame.value), _roots(frame.outer, holder)
        frame.roots = (own, *(root for root in around if root != own)) if own else around
    return frame.roots


class Walker:
    """One walk. Handlers use `members`, `hidden`, `alone`, `bind`, `scalar`; everything else is `walk`'s."""

    def __init__(
        self,
        root: str,
        skip: Callable[[str], bool] | None,
        *,
        ordered: bool = False,
        holder: object = None,
        printed: bool = False,
    ) -> None:
        self._root, self._skip = len(root), skip
        self.ordered = ordered  # whether the order of a dict acts: code may go through it, where data is looked up
        self._printed = printed  # whether a model is told of the value: a path counts to the letter then
        self._holder = holder  # what holds the value, where it is walked on its own
        self._frame: _Frame | None = None
        self._open: dict[int, int] = {}
        self._closed: dict[int, Encoded] = {}
        self._cyclic: dict[int, None] = {}  # those of the closed that show the way in
        self._bound: set[int] = set()  # those of the closed that hold for here and now only
        self._marks: dict[int, bytes] = {}  # of the open: plain data that may be remembered
        self._kept: list[object] = []  # an id stays taken for as long as the walk remembers it
        self._keys: frozenset[str] | None = None
        self.opaque: set[tuple[Any, ...]] = set()  # the members of `Opaque`
        self.environment: dict[str, str] = {}
        self.globals: dict[str, str] = {}
        self.asides: set[Aside] = set()

    def encode(self, value: object, path: str) -> Encoded:
        """Encode a value and everything in it."""
        reply = self._known(value)
        if reply is not _UNKNOWN:
            return reply
        first = frame = self._enter(value, path)
        while True:
            part = self._next_part(frame, reply if reply is not _UNKNOWN else None)
            if isinstance(part, list):
                reply = self._leave(frame, part)
                if frame is first:
                    return reply
                frame = frame.outer  # type: ignore[assignment]
                continue
            reply = self._known(part[0])
            if reply is _UNKNOWN:
                frame = self._enter(*part)

    def _known(self, value: object) -> Encoded:
        scalar = SCALARS.get(type(value))
        if scalar is not None:
            return self.text(value) if type(value) is str else scalar(value)
        if type(value) is Kept:
            self.opaque.update(value.opaque)
            self.environment.update(value.environment)
            self.asides |= value.asides
            return value.encoded
        key = id(value)
        index = self._open.get(key)
        if index is not None and self._frame is not None:
            self._frame.low = min(self._frame.low, index)
            return ["ref", self._frame.index - index]
        if key in self._cyclic and self._frame is not None:
            self._frame.cyclic = True
        if key in self._bound:
            self.bind()
        return self._closed[key] if key in self._closed else self._recalled(value)

    def _recalled(self, value: object) -> Encoded:
        """The encoding of plain data that this process has walked before."""
        mark = _mark(value, self.ordered, self._secrets) if self._skip is None and is_large(value) else None
        if mark is not None:
            self._kept.append(value)
            found: Encoded = recall(mark)
            if found is not None:
                self._closed[id(value)] = found
                return found
            self._marks[id(value)] = mark
        return _UNKNOWN  # type: ignore[no-any-return]

    def bind(self) -> None:
        """Note that the part which is being encoded counts so only here and now: it is not remembered."""
        if self._frame is not None:
            self._frame.bound = True

    def leaves_out(self, name: str, value: object) -> bool:
        """Whether a named part is a secret, which no hash has."""
        if not may_hold_secrets(name):
            return False
        if type(value) not in _NUMBERS:
            self.bind()
        return left_out(name, value)

    def scalar(self, value: object) -> Encoded:
        """Encode a scalar, which has no parts."""
        return self.text(value) if type(value) is str else SCALARS[type(value)](value)

    def text(self, value: str) -> Encoded:
        """A text without its secrets; a path that code holds counts by its place in the project."""
        if value.isupper():
            self.asides.add(spoken(value))
        if len(value) < SHORTEST_KEY and "/" not in value and "\\" not in value and value not in self._secrets:
            return SCALARS[str](value)
        value = self._without_secret(value)
        if self.ordered and ("/" in value or "\\" in value) and is_absolute(value):
            self.bind()
            place = None if self._printed else located(value, _roots(self._frame, self._holder))
            if place is not None:
                return [SCALARS[str](part) if type(part) is str else part for part in place]
        return SCALARS[str](value)

    def _without_secret(self, value: str) -> str:
        """A text that is hashed; of URLs their passwords, and keys as a whole, are handed over and left out.

        A key is known by its form, or by the variable of the environment that has it: `KEY = os.environ["DB_PASS"]`.
        """
        if value in self._secrets or is_key(value):
            self.bind()
            hand_over(value, "secret")
            return MASK
        if "://" in value:
            if speaks_secret(value):
                self.bind()
            hand_over(value)
            return without_password(value)
        return value

    @property
    def _secrets(self) -> frozenset[str]:
        if self._keys is None:
            self._keys = keys_of_environment()
        return self._keys

    def _enter(self, value: object, path: str) -> _Frame:
        frame = self._frame = _Frame(value, path, len(self._open), self._frame)
        self._open[id(value)] = frame.index
        self._kept.append(value)
        return frame

    def _next_part(self, frame: _Frame, reply: Encoded) -> Part | list[Encoded]:
        try:
            if frame.steps is not None:
                return frame.steps.send(reply)
            if frame.depth > _DEEPEST:
                return self.hidden(frame.value, frame.path, "is nested too deeply")
            steps = handler_for(type(frame.value))(self, frame.value, frame.path)
            if isinstance(steps, list):
                return steps
            frame.steps = steps
            return next(steps)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]
        except Exception as error:  # noqa: BLE001 - a value's own code may raise anything; it is named, not dropped
            let_through(error)
            self._frame = frame
            return self.hidden(frame.value, frame.path, f"raised {type(error).__name__} when it was read")

    def _leave(self, frame: _Frame, encoded: list[Encoded]) -> Encoded:
        sealed: Encoded = ["#", seal("part", encoded)]
        if frame.low == frame.index:
            self._close(frame, sealed)
        outer = self._frame = frame.outer
        if outer is not None:
            outer.low = min(outer.low, frame.low)
            outer.cyclic = outer.cyclic or frame.cyclic
            outer.bound = outer.bound or frame.bound
        return sealed

    def _close(self, frame: _Frame, sealed: Encoded) -> None:
        """Settle the cycle whose first part is in `frame`; a part that is in no cycle is one of its own."""
        frame.cyclic = frame.cyclic or len(self._open) > frame.index + 1
        while len(self._open) > frame.index:
            key, position = self._open.popitem()
            offset = position - frame.index
            if self._skip is None:  # with one, what is left out depends on the path
                self._closed[key] = ["member", offset, sealed] if offset else sealed
                if frame.cyclic:
                    self._cyclic[key] = None
                if frame.bound:
                    self._bound.add(key)
        self._remember(frame, sealed)

    def _remember(self, frame: _Frame, sealed: Encoded) -> None:
        """Keep the encoding of plain data, if it is the same everywhere, and nobody has changed it meanwhile."""
        mark = self._marks.pop(id(frame.value), None)
        if mark is None or frame.cyclic or frame.bound:
            return
        if _mark(frame.value, self.ordered, self._secrets) == mark:
            remember(mark, sealed)

    def skips(self, path: str) -> bool:
        """Whether the caller wants the part at this path left out."""
        return self._skip is not None and self._skip(path[self._root :].removeprefix("."))

    def hidden(self, value: object, path: str, why: str) -> list[Encoded]:
        """The placeholder of a part that cannot be read, which is reported as opaque."""
        kind = type(value)
        self.bind()
        self.opaque.add((path, f"{kind.__qualname__} (a {qualified_name(kind)}): it {why}"))
        return ["opaque", qualified_name(kind)]

    def members(self, values: Iterable[tuple[str, object]], path: str) -> Parts:
        """Named parts in the order of their names; of a secret only the name."""
        encoded: list[Encoded] = []
        for name, value in sorted(values, key=_name):
            where = f"{path}.{name}"
            if not self.skips(where):
                part = (yield from secret(value, where)) if self.leaves_out(name, value) else (yield value, where)
                encoded.append([SCALARS[str](name), part])
        return encoded

    def alone(self, value: object, path: str) -> Encoded:
        """Encode a part as if its siblings had not been visited, for siblings that have no order of their own."""
        reply = self._known(value)
        if reply is not _UNKNOWN:
            return reply
        opened, cyclic = len(self._open), len(self._cyclic)
        try:
            return self.encode(value, path)
        finally:
            self._forget(opened, cyclic)

    def _forget(self, opened: int, cyclic: int) -> None:
        """Forget the parts whose encodings show the way in to them: all others are the same from everywhere."""
        while len(self._open) > opened:
            self._open.popitem()
        while len(self._cyclic) > cyclic:
            del self._closed[self._cyclic.popitem()[0]]


def _mark(value: object, ordered: bool, keys: frozenset[str]) -> bytes | None:
    """The mark of large plain data: a walk that finds no secrets and no paths in it depends on nothing else.

    `Walker.text` and `Walker.leaves_out` note these.
    """
    return None if has_registered(*PLAIN_TYPES) else mark_of(value, ["walk", ordered, *sorted(keys)])


def secret(value: object, path: str) -> Parts:
    """Encode a secret: nothing of it counts, unless an object of the user's class may sign requests with it."""
    return ["secret", (yield type(value), path)] if is_own_class(type(value)) else ["secret"]


def left_out(name: str, value: object) -> bool:
    """Whether a named part is a secret; its secrets, and those in headers, go to whoever keeps them out of texts."""
    if not may_hold_secrets(name):
        return False
    hand_over(value, name)
    return is_secret(name, value)


def _name(member: tuple[str, object]) -> str:
    return member[0]


def walk(
    kind: str,
    value: object,
    path: str,
    skip: Callable[[str], bool] | None = None,
    *,
    ordered: bool = True,
    holder: object = None,
    printed: bool = False,
) -> Hashed:
    """Hash a value of any kind under the record type `kind`; `holder` is what holds it, if that is not hashed too."""
    walker = Walker(path, skip, ordered=ordered, holder=holder, printed=printed)
    try:
        encoded = walker.encode(value, path)
    except RecursionError:  # sets within sets within sets; everything else is walked without recursion
        walker = Walker(path, skip, ordered=ordered, holder=holder)
        encoded = walker.hidden(value, path, "is nested too deeply")
    encoded = with_docstrings(encoded, walker.asides)
    walker.environment = {**variables(walker.asides), **walker.environment}
    opaque = tuple(Opaque(*where) for where in sorted(walker.opaque))
    environment, read = (tuple(sorted(some.items())) for some in (walker.environment, walker.globals))
    return Hashed(seal(kind, encoded), opaque, environment, read)
