"""Views that are no tiles of a gallery, made of its own map: what an index is tried with before anybody flies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from lkpan_ros.localization.gallery import Gallery

_TURN_DEG, _SCALE = 10.0, 0.1  # standard deviations: a heading and a height that are wrong
_CONTRAST, _BRIGHTNESS, _CAST = 0.2, 20.0, 0.08
_NOISE = 6.0
_ROOM = 1.5  # of the window that is turned, in tiles


def held_out_views(gallery: Gallery, count: int, seed: int = 0) -> Iterator[NDArray[np.uint8]]:
    """Views of places between the tiles, turned, scaled and in other light: tile_px x tile_px x 3 uint8 RGB each.

    Args:
        gallery: Whose map is seen.
        count: How many.
        seed: Of places and light.
    """
    rng = np.random.default_rng(seed)
    for tile in rng.integers(0, len(gallery), count):
        east_m, north_m = gallery.positions_m[tile] + rng.uniform(-0.5, 0.5, 2) * gallery.stride_m
        size_m, side = gallery.tile_size_m * _ROOM, round(gallery.tile_px * _ROOM)
        window, _ = gallery.window(float(east_m), float(north_m), size_m, side)
        yield _in_other_light(_turned(window, gallery.tile_px, rng), rng)


def _turned(window: NDArray[np.uint8], px: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    middle = (window.shape[1] - 1) / 2
    scale = float(np.exp(rng.normal(0.0, _SCALE)))
    turn = cv2.getRotationMatrix2D((middle, middle), float(rng.normal(0.0, _TURN_DEG)), scale)
    turn = turn + np.array([[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]]) * ((px - 1) / 2 - middle)
    return np.asarray(
        cv2.warpAffine(window, turn, (px, px), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT),
        np.uint8,
    )


def _in_other_light(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    contrast = np.exp(rng.normal(0.0, _CONTRAST)) * np.exp(rng.normal(0.0, _CAST, 3))
    lit = (image - 128.0) * contrast + 128.0 + rng.normal(0.0, _BRIGHTNESS)
    return np.asarray(np.clip(lit + rng.normal(0.0, _NOISE, image.shape), 0, 255), np.uint8)
