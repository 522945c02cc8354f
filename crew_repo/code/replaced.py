"""The user's code in the place of a library's: `requests.get = mine`, `Session.send = mine`.

Whoever uses the library calls it then, though no name that leads there is the user's.
"""

from __future__ import annotations

from operator import is_
from weakref import WeakKeyDictionary

from crew_repo.code.members import functions_of
from crew_repo.code.ownership import can_be_changed, is_core_class, is_own_class, is_own_function

__all__ = ["is_users_code", "replaced_in", "replaced_members"]

_known: WeakKeyDictionary[type, tuple[list[object], dict[str, object]]] = WeakKeyDictionary()


def is_users_code(value: object) -> bool:
    """Whether a value is a class of the user's, a function, or a wrapper of one."""
    if isinstance(value, type):
        return is_own_class(value)
    return any(is_own_function(some.__code__, some.__globals__) for some in functions_of(value))


def replaced_members(kind: type) -> dict[str, object]:
    """The members of a library's class, and of those that it is made of, which are the user's code."""
    bases = (base for base in kind.__mro__ if can_be_changed(base) and not is_core_class(base))
    return {name: member for base in bases for name, member in replaced_in(base).items()}


def replaced_in(kind: type) -> dict[str, object]:
    """The members of one class which are the user's code, looked for anew if any is another than before."""
    members = list(vars(kind).values())
    known = _known.get(kind)
    if known is None or len(known[0]) != len(members) or not all(map(is_, known[0], members)):
        own = {} if is_own_class(kind) else vars(kind)
        found = {f"{kind.__qualname__}.{name}": member for name, member in list(own.items()) if is_users_code(member)}
        known = _known[kind] = members, found
    return known[1]
