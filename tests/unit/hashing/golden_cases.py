"""The values and functions whose hashes are pinned in golden.json. Needs nothing but Python and this package.

Run it to print their hashes: `python -m tests.unit.hashing.golden_cases`. After a release, whoever changes one on
purpose raises `FORMAT`: stored records are found by these hashes.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import functools
import json
import pathlib
import re
import threading
import typing
import uuid
from collections import deque
from collections.abc import Callable

from crew_repo.hashing import (
    context_hash,
    definition_hash,
    digest,
    hash_callable,
    hash_class,
    hash_value,
    input_hash,
    output_hash,
    text_hash,
)
from crew_repo.model import Component, StoredResult

RATE = 3
NAMES = {"b": [1, 2.5], "a": {"x", "y"}}


def helper(x, *, scale=RATE):
    """A helper."""
    return [each * scale for each in x if (half := each / 2) > 1 and half]


def formatted(x, width=3):
    return f"a{x}b{x!r:>{width}}" f"{x + 1:.2f}{'nested'}{x=}" "c" f"{{}}"


def matched(x):
    match x:
        case {"a": [first, *_], **rest} if rest:
            return first
        case int() | str() as found:
            return {found: NAMES}
        case _:
            return x[1:2, ...], -1, 1j, b"a", None


def guarded(*args: int, **kwargs: typing.Optional[str]) -> list[int] | None:
    try:
        yield from args
    except (OSError, ValueError) as error:
        raise RuntimeError from error
    finally:
        del kwargs["a"]
    assert not args, "none left"


async def awaited(x):
    async with x as y:
        return [z async for z in y], lambda a, /, b=1, *c, d, **e: (a, b, c, d, e, helper)


def recursive(n):
    return n and mutual(n - 1)


def mutual(n):
    return n and recursive(n - 1)


def closure(rate):
    def inner(x):
        return helper(x, scale=rate)

    return inner


@functools.lru_cache
def cached(x):
    return x


@dataclasses.dataclass(order=True)
class Point:
    """A dataclass."""

    x: int
    y: list[int] = dataclasses.field(default_factory=list)

    def size(self):
        return self.x + len(self.y)


class Row(typing.NamedTuple):
    a: int
    b: str = "b"


class Kind(enum.Enum):
    ONE = 1
    TWO = "two"

    @property
    def text(self):
        return str(self.value)


class Tool(typing.Generic[typing.TypeVar("T")]):
    """A plain class."""

    rate = RATE

    def __init__(self, key):
        self.api_key = key
        self.client = None

    @classmethod
    def make(cls):
        return cls("key")

    @staticmethod
    def run(x):
        return helper(x)


STORE: dict[str, int] = {"a": 1}


class Totals:
    calls = 0

    def __init__(self):
        self.rate = 3


TOTALS = Totals()


def put(keys, seen={"b": 2}):  # noqa: B006
    Totals.calls += 1
    TOTALS.rate += 1
    put.calls += 1
    return [STORE.update({key: seen.setdefault(key, 1)}) for key in keys]


put.calls = 0


def get(key):
    return STORE[key], TOTALS, Totals.calls, put


class Local(threading.local):
    def __init__(self, tenant):
        self.tenant = tenant


MADE: dict[str, type] = {}
exec("class Made(dict):\n    rate = 3", MADE)

PAIR = (lambda x: x + 1, lambda x: [x + 2, lambda: x])
LOOP: list[object] = [1]
LOOP.append({"loop": LOOP})

VALUES: dict[str, object] = {
    "scalars": [None, True, 1, -(2**60), 1.0, -0.0, float("nan"), 1j, "é\ud800", b"a", ...],
    "containers": [(1, "1"), {3, 1, 2}, frozenset("ab"), deque([1], 2), {1: 2, "a": 3, (1, 2): 4}, range(3)],
    "nested": NAMES,
    "loop": LOOP,
    "dates": [datetime.datetime(2024, 1, 2, 3, tzinfo=datetime.timezone.utc), datetime.timedelta(1, 2, 3)],
    "standard": [decimal.Decimal("1.50"), uuid.UUID(int=7), pathlib.PurePosixPath("a/b"), re.compile("a+", re.I)],
    "types": [int, list[int], typing.Optional[int], typing.Union[int, str], typing.Any, typing.Literal["a", 1]],
    "more types": [typing.Annotated[int, 3], typing.Callable[[int], str], typing.Dict[str, int]],  # noqa: UP006
    "dataclass": Point(1, [2]),
    "namedtuple": Row(1),
    "thread local": Local("a"),
    "enum": [Kind.ONE, Kind.TWO],
    "object": Tool("secret"),
    "secrets": {"api_key": "a", "max_tokens": 3, "headers": {"Authorization": "b"}},
}
FUNCTIONS: dict[str, Callable[..., object]] = {
    "helper": helper,
    "formatted": formatted,
    "matched": matched,
    "guarded": guarded,
    "awaited": awaited,
    "recursive": recursive,
    "closure": closure(2),
    "cached": cached,
    "put": put,
    "get": get,
    "lambda that stores": lambda key: STORE.pop(key),
    "lambda": lambda x: (x, RATE),
    "first of two": PAIR[0],
    "second of two": PAIR[1],
    "partial": functools.partial(helper, scale=2),
    "bound method": Tool("key").make,
    "builtin": len,
}
CLASSES = {kind.__name__: kind for kind in (Point, Row, Kind, Tool, Totals, MADE["Made"], dict)}


def records() -> dict[str, str]:
    """The hashes of records."""
    return {
        "digest": digest("kind", {"b": [1, 1.0, True, None], "a": "é"}),
        "text": text_hash("text"),
        "context": context_hash("text"),
        "definition": definition_hash([Component("b", "2"), Component("a", "1"), Component("c", "3", acts=False)]),
        "input": input_hash("a", "b", 1),
        "output": output_hash(StoredResult(raw="raw", pydantic_json="{}")),
    }


def hashes() -> dict[str, str]:
    """Every pinned hash."""
    hashed = {f"value {name}": hash_value(value, name) for name, value in VALUES.items()}
    hashed.update({f"function {name}": hash_callable(some, name) for name, some in FUNCTIONS.items()})
    hashed.update({f"class {name}": hash_class(some, name) for name, some in CLASSES.items()})
    assert not any(some.opaque for some in hashed.values()), hashed
    return {**{f"record {name}": sha for name, sha in records().items()}, **{n: h.sha256 for n, h in hashed.items()}}


if __name__ == "__main__":
    print(json.dumps(hashes(), indent=2, sort_keys=True))  # noqa: T201
