"""Handlers of instances: arrays and frames, and whatever has a `__dict__`, slots or a way to be reduced."""

from __future__ import annotations

import copyreg
import random
import struct
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from crew_repo.canonical import SCALARS, Encoded
from crew_repo.code.ownership import is_own_class, is_own_module
from crew_repo.hashing.as_first_seen import attributes_of
from crew_repo.hashing.dispatch import handles, handles_named
from crew_repo.introspection import has_hidden_state, instance_state
from crew_repo.time_limits import let_through

if TYPE_CHECKING:
    from crew_repo.hashing.dispatch import Parts, Steps
    from crew_repo.hashing.walker import Walker

__all__: list[str] = []

_UNREADABLE = "keeps its state where Python cannot read it"


@handles(object)
def _object(walker: Walker, value: object, path: str) -> Steps:
    kind = type(value)
    if not has_hidden_state(kind):
        return _instance(walker, value, path)
    if isinstance(value, Iterator):
        return walker.hidden(value, path, "can be read only once")
    return _reduced(walker, value, path)


def _instance(walker: Walker, value: object, path: str) -> Parts:
    kind = yield type(value), path
    held = instance_state(value)
    members = attributes_of(value, held, instance_state, path) if is_own_class(type(value)) else held.items()
    return ["object", kind, *(yield from walker.members(members, path))]


def _reduced(walker: Walker, value: object, path: str) -> Parts:
    """Reduce an object of compiled code to the values that `pickle` would write; nothing is pickled."""
    registered = _registered(value)
    try:
        recipe: Any = registered(value) if registered else value.__reduce_ex__(2)
    except Exception as error:  # noqa: BLE001 - compiled types refuse in many ways; the object is named, not dropped
        let_through(error)
        return walker.hidden(value, path, _UNREADABLE)
    if isinstance(recipe, str):
        if not _is_found(value, recipe):
            return walker.hidden(value, path, _UNREADABLE)
        return ["named", f"{type(value).__module__}.{recipe}"]
    maker, arguments, state, items, pairs = (*recipe, None, None, None)[:5]
    kind = yield type(value), path
    parts = (arguments, state, list(items or ()), list(pairs or ()))
    return ["reduced", kind, (yield maker, path), (yield parts, path)]


def _registered(value: object) -> Callable[[Any], Any] | None:
    """How a type's library, or the user, says that it is pickled; `tblib` says so of all exceptions, once imported."""
    function = copyreg.dispatch_table.get(type(value))
    is_own = is_own_module(str(getattr(function, "__module__", "")))
    return function if is_own or not isinstance(value, BaseException) else None


def _is_found(value: object, name: str) -> bool:
    """Whether a module has this very object under its name; one that is made of the user's code it has not."""
    return any(getattr(module, "__dict__", {}).get(name) is value for module in list(sys.modules.values()))


@handles(struct.Struct)
def _struct(_walker: Walker, value: struct.Struct, _path: str) -> list[Encoded]:
    return ["struct", SCALARS[str](value.format)]


@handles_named(
    *("_hashlib.HASH", "_hashlib.HASHXOF", "_blake2.blake2b", "_blake2.blake2s", "_md5.md5", "_sha1.sha1"),
    *("_sha256.sha256", "_sha256.sha224", "_sha512.sha512", "_sha512.sha384", "_sha2.SHA256Type", "_sha2.SHA224Type"),
    *("_sha2.SHA512Type", "_sha2.SHA384Type", *(f"_sha3.sha3_{bits}" for bits in (224, 256, 384, 512))),
    *("_sha3.shake_128", "_sha3.shake_256"),
)
def _digest(_walker: Walker, value: Any, _path: str) -> list[Encoded]:
    """Encode a digest by what it has digested so far; one of any length by 64 bytes."""
    return ["digest", value.name, value.copy().hexdigest(*([] if value.digest_size else [64]))]


@handles_named("_json.Scanner")
def _scanner(_: Walker, value: Any, path: str) -> Parts:
    names = ("strict", "object_hook", "object_pairs_hook", "parse_float", "parse_int", "parse_constant")
    return ["scanner", (yield tuple(getattr(value, name) for name in names), path)]


@handles_named("_csv.Dialect")
def _dialect(_: Walker, value: Any, path: str) -> Parts:
    names = ("delimiter", "doublequote", "escapechar", "lineterminator", "quotechar", "quoting", "skipinitialspace")
    return ["dialect", (yield tuple(getattr(value, name) for name in (*names, "strict")), path)]


@handles(random.Random)
def _random(walker: Walker, value: random.Random, path: str) -> Steps:
    """Python's own, which `random.choice` belongs to, and one that the system feeds are at random in every process."""
    if type(value) is random.SystemRandom or value is getattr(random.random, "__self__", None):
        return ["random", type(value).__qualname__]
    return _object(walker, value, path)


@handles_named("numpy.ndarray")
def _array(_: Walker, value: Any, path: str) -> Parts:
    elements = value.tolist() if value.dtype.hasobject else value.tobytes()
    kind = yield (value.dtype.descr, value.shape), path
    return ["array", kind, (yield elements, path)]


@handles_named("pandas.core.frame.DataFrame", "pandas.DataFrame")
def _frame(_: Walker, value: Any, path: str) -> Parts:
    columns = [(name, value[name]) for name in value.columns]
    return ["frame", (yield value.index, path), (yield columns, path)]


@handles_named("pandas.core.series.Series", "pandas.core.indexes.base.Index", "pandas.Series", "pandas.Index")
def _series(_: Walker, value: Any, path: str) -> Parts:
    kind = yield (str(value.dtype), value.name), path
    return ["series", kind, (yield value.to_numpy(), path), (yield getattr(value, "index", None), path)]


@handles_named("tiktoken.core.Encoding")
def _tokens(walker: Walker, value: Any, path: str) -> Parts:
    """Its compiled part is made of the rest."""
    held = {name: part for name, part in instance_state(value).items() if name != "_core_bpe"}
    return ["encoding", *(yield from walker.members(held.items(), path))]
