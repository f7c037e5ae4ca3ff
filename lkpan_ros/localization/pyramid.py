"""A patch at the resolutions, turns and scales under which it is laid on the map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Pixels = tuple[NDArray[np.uint8], NDArray[np.bool_]]


class Pyramid:
    """A patch, and what it is averaged to: many turns and fits share the same few sizes.

    Args:
        grey: P x P uint8.
        mask: P x P bool, what it shows.
    """

    def __init__(self, grey: NDArray[np.uint8], mask: NDArray[np.bool_]) -> None:
        self._whole = (grey, mask)
        self._averaged: dict[int, Pixels] = {}

    def turned(self, side_px: int, turn_deg: float = 0.0, scale: float = 1.0) -> Pixels:
        """The patch turned clockwise and magnified about its centre, at another resolution.

        Args:
            side_px: Side of the result.
            turn_deg: Clockwise.
            scale: Above 1 its content covers more of the result's footprint.

        Returns:
            side_px x side_px uint8 grey, and bool: what of it is shown.
        """
        (grey, mask), source_px = self._whole, len(self._whole[0])
        zoom = scale * side_px / source_px
        if zoom < 0.7:  # averaged first, or edges alias
            source_px = max(side_px, round(source_px * zoom * 1.4))
            grey, mask = self._of_size(source_px)
            zoom = scale * side_px / source_px
        middle = (source_px - 1) / 2
        affine = np.asarray(cv2.getRotationMatrix2D((middle, middle), -turn_deg, zoom), np.float64)
        affine[:, 2] += (side_px - 1) / 2 - middle
        shape = (side_px, side_px)
        picture = cv2.warpAffine(grey, affine, shape, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        shown = cv2.warpAffine(mask * np.uint8(255), affine, shape, flags=cv2.INTER_LINEAR)
        return np.asarray(picture, np.uint8), shown >= 254

    def _of_size(self, side_px: int) -> Pixels:
        if side_px not in self._averaged:
            grey, mask = self._whole
            size = (side_px, side_px)
            self._averaged[side_px] = (
                np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8),
                cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST).astype(np.bool_),
            )
        return self._averaged[side_px]
