"""Candidates beside those that the search of the whole gallery gives: the tiles where the track expects the view."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lkpan_ros.localization.types import Matches

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lkpan_ros.localization.gallery import Gallery


def about_hypotheses(
    gallery: Gallery,
    descriptors: NDArray[np.float32],
    places_m: NDArray[np.float64],
    turns_deg: Sequence[float],
) -> list[Matches]:
    """The tile nearest to each expected view, with the similarity that it has; none where the view leaves the gallery.

    Args:
        gallery: Looked up.
        descriptors: (R, D) float32, of the frame's views.
        places_m: (N, 2) float64, where views are expected, most probable first.
        turns_deg: Of the views.
    """
    found = []
    for east_m, north_m in places_m:
        matches = gallery.search(
            descriptors, 9, (float(east_m), float(north_m), gallery.stride_m), turns_deg=turns_deg
        )
        if len(matches.tile):
            nearest = np.hypot(*(matches.position_m - (east_m, north_m)).T).argmin()
            found.append(rows_of(matches, np.array([nearest])))
    return found


def joined(first: Sequence[Matches], then: Matches) -> Matches:
    """All of them in this order."""
    every = [*first, then]
    return Matches(
        tile=np.concatenate([m.tile for m in every]),
        similarity=np.concatenate([m.similarity for m in every]),
        position_m=np.concatenate([m.position_m for m in every]),
        rotation=np.concatenate([m.rotation for m in every]),
        turn_deg=np.concatenate([m.turn_deg for m in every]),
    )


def rows_of(matches: Matches, rows: NDArray[np.int64]) -> Matches:
    """Some of the matches."""
    return Matches(
        matches.tile[rows], matches.similarity[rows], matches.position_m[rows], matches.rotation[rows],
        matches.turn_deg[rows],
    )  # fmt: skip
