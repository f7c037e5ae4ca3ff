"""Pictures made by code that need no library beside NumPy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def pictures(count: int, side: int, seed: int = 0) -> NDArray[np.uint8]:
    """Colour waves with edges, uint8 count x side x side x 3."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:side, 0:side] / side
    made = np.empty((count, side, side, 3), np.uint8)
    for picture in made:
        for channel in range(3):
            waves = sum(
                np.sin(2 * np.pi * (a * rows + b * columns) + c) / (1 + abs(a) + abs(b))
                for a, b, c in rng.normal(0, 8, (12, 3))
            )
            edges = np.where(rng.uniform(size=2)[0] > rows + rng.normal(0, 0.3) * columns, 30, -30)
            picture[..., channel] = np.clip(127 + 120 * waves + edges, 0, 255)
    return made
