"""Which places of the map a view is laid on: neighbouring candidates share a window."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lkpan_ros.localization.types import Matches


def windows_of(matches: Matches, apart_m: float, limit: int) -> NDArray[np.int64]:
    """Rows of the matches, in their order, that lie apart from every earlier one or belong to another view.

    Args:
        matches: The most important first.
        apart_m: On at least one axis.
        limit: How many at most.

    Returns:
        (N,) int64.
    """
    chosen: list[int] = []
    for index, place in enumerate(matches.position_m):
        same = [c for c in chosen if matches.rotation[c] == matches.rotation[index]]
        if all(np.abs(matches.position_m[c] - place).max() > apart_m for c in same):
            chosen.append(index)
        if len(chosen) == limit:
            break
    return np.array(chosen, np.int64)
