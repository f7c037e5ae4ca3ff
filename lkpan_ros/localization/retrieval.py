"""Candidates: the tiles that look most like a view, and those where the track expects it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from lkpan_ros.localization.geodesy import wrap_degrees
from lkpan_ros.localization.types import Matches

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lkpan_ros.localization.gallery import Gallery
    from lkpan_ros.localization.refinement import Expected


def best_of_each_tile(
    similarity: NDArray[np.float32],
    tile: NDArray[np.int64],
    positions_m: NDArray[np.float64],
    turns_deg: NDArray[np.float64],
    candidates: int,
) -> Matches:
    """Matches of a view that was looked up under several turns, best first.

    Args:
        similarity: (R, K) float32, of each turn's best tiles.
        tile: (R, K) int64.
        positions_m: (N, 2) float64, of all tiles.
        turns_deg: (R,) float64.
        candidates: How many at most.
    """
    rotation = np.repeat(np.arange(len(tile)), tile.shape[1])
    flat_tile, flat_similarity = tile.ravel(), similarity.ravel()
    order = np.lexsort((flat_tile, -flat_similarity))
    _, first = np.unique(flat_tile[order], return_index=True)  # the best of each tile comes first
    chosen = order[np.sort(first)][:candidates]
    return Matches(
        tile=flat_tile[chosen],
        similarity=flat_similarity[chosen],
        position_m=positions_m[flat_tile[chosen]],
        rotation=rotation[chosen],
        turn_deg=turns_deg[rotation[chosen]],
    )


def about_hypotheses(
    gallery: Gallery,
    descriptors: NDArray[np.float32],
    expected: Sequence[Expected],
    turns_deg: Sequence[float],
) -> list[Matches]:
    """The tile nearest to each expected view, with the similarity that it has; none where the view leaves the gallery.

    It is looked up under the turn that is nearest to what the track takes the heading to be.

    Args:
        gallery: Looked up.
        descriptors: (R, D) float32, of the frame's views.
        expected: Where views are, most probable first.
        turns_deg: Of the views.
    """
    found = []
    for place in expected:
        view = int(np.abs(wrap_degrees(np.array(turns_deg) - place.turn_deg)).argmin())
        area = (place.east_m, place.north_m, gallery.stride_m)
        matches = gallery.search(descriptors[view : view + 1], 9, area, turns_deg=turns_deg[view : view + 1])
        if len(matches.tile):
            nearest = np.hypot(*(matches.position_m - area[:2]).T).argmin()
            there = rows_of(matches, np.array([nearest]))
            found.append(replace(there, rotation=np.full_like(there.rotation, view)))
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
