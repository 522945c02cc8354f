"""The permissions of files, as they are for who is not root."""

from __future__ import annotations

import ctypes
import os
import sys

__all__ = ["obey_permissions"]


def obey_permissions() -> None:
    """Root may write what is read-only, by two capabilities; this process gives them up."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header, sets = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, sets) == 0
    for at in range(3):  # effective, permitted, inheritable; bits 1 and 2 are CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH
        sets[at] &= ~0b110
    assert libc.capset(header, sets) == 0, os.strerror(ctypes.get_errno())
