"""Memory, kept small over a long flight, and the time that keeping it so takes.

glibc gives threads pools of their own (8 times the cores) and keeps in each what was once asked for; after hours of
galleries reloaded and sensors lost a node held two thirds more than it used; a look under all headings leaves 50 MB.

Python's garbage collector goes through all objects once their number has grown by a quarter: those of PyTorch alone are
half a million, which takes 0.2 s of a flight, and is so rare that what rclpy leaves in cycles stays for long.
"""

from __future__ import annotations

import ctypes
import gc

PERIOD_S = 10.0
_POOLS, _MOST_POOLS = -8, 2  # M_ARENA_MAX of malloc.h


def limit_pools() -> None:
    """Before threads start. Without effect where the C library is another."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "gnu_get_libc_version"):
        libc.mallopt(_POOLS, _MOST_POOLS)


def settle() -> None:
    """After loading and unloading: what there is now will stay, and is not looked at again until the next time."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def give_back() -> None:
    """Every `PERIOD_S`: what is free goes back to the system, in a few milliseconds."""
    gc.collect()
    libc = ctypes.CDLL(None)
    if hasattr(libc, "gnu_get_libc_version"):
        libc.malloc_trim(0)
