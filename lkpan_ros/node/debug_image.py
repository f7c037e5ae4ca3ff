"""The picture on geo_fix/debug_image: what the frame shows of the ground beside the tiles that look most like it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from lkpan_ros.localization.types import Fix, Refusal
from lkpan_ros.localization.view import ground_patch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lkpan_ros.localization.config import ViewSettings
    from lkpan_ros.localization.gallery import Gallery
    from lkpan_ros.localization.types import Frame, Rejection

_SIDE_PX = 240
_TITLE_PX = 24
_TILES = 4
_GREEN, _RED, _WHITE = (120, 220, 120), (240, 110, 110), (255, 255, 255)


def draw(
    outcome: Fix | Rejection, frame: Frame, gallery: Gallery, settings: ViewSettings
) -> NDArray[np.uint8]:
    """The view and its best tiles side by side, H x W x 3 uint8 RGB."""
    turn_deg = outcome.matches.best_turn_deg if outcome.matches is not None else 0.0
    view = _view(frame, gallery, settings, turn_deg)
    if isinstance(outcome, Fix):
        cells = [_cell(view, f"fix {outcome.probability:.2f}", _GREEN)]
    else:
        cells = [_cell(view, outcome.reason.value, _RED)]
    if outcome.matches is not None:
        matches = outcome.matches
        for tile, similarity, turn_deg in zip(
            matches.tile[:_TILES], matches.similarity, matches.turn_deg, strict=False
        ):
            text = f"tile {int(tile)} {float(similarity):.3f}" + (f" {turn_deg:.0f}d" if turn_deg else "")
            cells.append(_cell(gallery.tile_image(int(tile)), text, _WHITE))
    return np.hstack(cells)


def _view(frame: Frame, gallery: Gallery, settings: ViewSettings, turn_deg: float) -> NDArray[np.uint8]:
    """The ground patch as it was turned for its best tile, or the middle of the frame where there is none."""
    try:
        return ground_patch(frame, gallery.tile_size_m, gallery.tile_px, settings, turn_deg=turn_deg).patch
    except Refusal:
        height, width = frame.image.shape[:2]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        return frame.image[top : top + side, left : left + side]


def _cell(image: NDArray[np.uint8], title: str, colour: tuple[int, int, int]) -> NDArray[np.uint8]:
    cell = np.zeros((_SIDE_PX + _TITLE_PX, _SIDE_PX, 3), np.uint8)
    cell[_TITLE_PX:] = cv2.resize(
        np.ascontiguousarray(image), (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA
    )
    cv2.putText(cell, title, (4, _TITLE_PX - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, 1, cv2.LINE_AA)
    return cell
