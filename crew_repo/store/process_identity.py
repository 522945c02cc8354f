"""The identity of a process, and whether it is still alive.

An owner is text: `host:pid:start:boot:namespace:machine`. `start` is when the process started, in clock ticks since
boot (from /proc/<pid>/stat), so that a process number that is in use again is not taken for the old process.
"""

from __future__ import annotations

import os
import socket
import sys
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

__all__ = ["is_alive", "pid_of", "this_owner"]

_FIRST_NAMESPACE = "4026531836"  # the kernel's own number of a host's process namespace: not in a container
_UNKNOWN = ""


class _Owner(NamedTuple):
    host: str
    pid: int
    start: str
    boot: str
    namespace: str
    machine: str


def this_owner() -> str:
    """The owner text of this process; another one in a forked child."""
    return _owner_of(os.getpid())


def is_alive(owner: str) -> bool | None:
    """True or False where it is certain, None where it cannot be known: on another host, in another container."""
    them, us = _parse(owner), _parse(this_owner())
    if them is None or us is None or them.host != us.host:
        return None
    if them == us:
        return True if us.start else None
    if sys.platform == "darwin":  # no /proc, and no containers
        return _has_process(them.pid)
    if them.boot == us.boot and them.namespace == us.namespace and _UNKNOWN not in (them.boot, them.namespace):
        return _process_is_alive(them)
    return False if _rebooted(them, us) else None


def pid_of(owner: str) -> int | None:
    """The process number in an owner text."""
    them = _parse(owner)
    return them.pid if them else None


def _rebooted(them: _Owner, us: _Owner) -> bool:
    """Whether this is that machine after a restart. Containers do not count: copies of an image share machine-ids."""
    outside = them.namespace == us.namespace == _FIRST_NAMESPACE
    return outside and them.boot != us.boot and them.machine == us.machine and _UNKNOWN not in (them.boot, them.machine)


def _process_is_alive(them: _Owner) -> bool | None:
    found = _state_and_start(them.pid)
    if found is not None:
        return found[0] not in "ZX" and found[1] == them.start
    return _has_process(them.pid)  # /proc may hide the processes of other users


def _has_process(pid: int) -> bool | None:
    """False if there is none; None if there is one, which may be another process with the same number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return None
    return None


def _parse(owner: str) -> _Owner | None:
    parts = owner.split(":")
    if len(parts) != len(_Owner._fields) or not parts[1].isdecimal():
        return None
    return _Owner(parts[0], int(parts[1]), *parts[2:])


@lru_cache(maxsize=4)
def _owner_of(pid: int) -> str:
    start = (_state_and_start(pid) or ("", _UNKNOWN))[1]
    boot = _read("/proc/sys/kernel/random/boot_id")
    host = socket.gethostname().replace(":", "_")
    return ":".join((host, str(pid), start, boot, _namespace(), _read("/etc/machine-id")))


def _state_and_start(pid: int) -> tuple[str, str] | None:
    """The third and the 22nd field of /proc/<pid>/stat; the second may contain blanks and parentheses."""
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return (fields[0], fields[19]) if len(fields) > 19 else None


def _namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink()).strip("pid:[]")
    except OSError:
        return _UNKNOWN


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return _UNKNOWN
