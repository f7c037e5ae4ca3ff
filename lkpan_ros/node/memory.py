"""The C library's memory, kept small over a long flight.

glibc gives threads pools of their own (8 times the cores) and keeps in each what was once asked for; after hours of
galleries reloaded and sensors lost a node held two thirds more than it used; a look under all headings leaves 50 MB.
"""

from __future__ import annotations

import ctypes

PERIOD_S = 10.0
_POOLS, _MOST_POOLS = -8, 2  # M_ARENA_MAX of malloc.h


def limit_pools() -> None:
    """Before threads start. Without effect where the C library is another."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "gnu_get_libc_version"):
        libc.mallopt(_POOLS, _MOST_POOLS)


def give_back() -> None:
    """Every `PERIOD_S`: what is free goes back to the system, in a millisecond or two."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "gnu_get_libc_version"):
        libc.malloc_trim(0)
