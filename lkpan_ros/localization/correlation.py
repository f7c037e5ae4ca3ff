"""Normalised correlation of gradients: where on a map window a north-up patch fits, and how well.

Of a picture only the direction of its edges and a compressed strength count, so that season, light and blur change
little and poor texture still speaks. Pictures are compared at a fixed number of pixels across the patch, which bounds
the cost whatever the footprint. A window's transforms are kept, since a vehicle sees the same windows for seconds.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from scipy import fft

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

_BLUR_PX = 1.0
_WEAK_EDGE = 4.0  # grey levels a pixel: a gradient of this strength counts half
_BORDER_PX = (
    2  # reach of the gradient's kernel after smoothing, where the mask's edge would be taken for an edge
)
_LEAST_SHARE = 0.15  # of the template's energy: a window with less edges has no meaningful correlation
_APART_PX = 6  # two peaks nearer than that are one
_LIKELIHOOD_SLOPE = 40.0  # log of the likelihood by which a shift falls for a fall of its score by 1
_KEPT_WINDOWS = 64  # 17 MB; three times as many save a track a tenth of a window a frame


@dataclass(frozen=True, eq=False)
class Field:
    """The compressed gradient of a picture.

    Attributes:
        gradient: P x P complex64, x + iy, 0 where the mask is.
        mask: P x P float32, 1 where the gradient is known.
    """

    gradient: NDArray[np.complex64]
    mask: NDArray[np.float32]

    @property
    def energy(self) -> NDArray[np.float32]:
        """P x P float32, squared length of the gradient."""
        energy: NDArray[np.float32] = np.square(self.gradient.real) + np.square(self.gradient.imag)
        return energy


def gradient_field(grey: NDArray[np.uint8], mask: NDArray[np.bool_]) -> Field:
    """The field of a P x P uint8 grey picture and the P x P bool mask of what it shows."""
    smooth = cv2.GaussianBlur(grey.astype(np.float32), (0, 0), _BLUR_PX)
    x = cv2.Scharr(smooth, cv2.CV_32F, 1, 0, scale=1 / 32)
    y = cv2.Scharr(smooth, cv2.CV_32F, 0, 1, scale=1 / 32)
    side = 2 * _BORDER_PX + 1
    known = cv2.erode(
        mask.astype(np.uint8), np.ones((side, side), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0
    ).astype(np.float32)
    weight = known / (np.hypot(x, y) + _WEAK_EDGE)
    gradient = np.empty(grey.shape, np.complex64)
    gradient.real, gradient.imag = x * weight, y * weight
    return Field(gradient, known)


@dataclass(frozen=True, eq=False)
class Templates:
    """T patches, ready to be correlated with windows of one size.

    Attributes:
        gradient: T x S x S, conjugate transforms of their gradients, complex64.
        mask: T x S x (S // 2 + 1), conjugate transforms of their masks, complex64, half spectrum.
        energy: (T,) float64, of their gradients, summed.
    """

    gradient: NDArray[np.complex64]
    mask: NDArray[np.complex64]
    energy: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Window:
    """Transforms of a map window's gradient (complex64) and of its energy (complex64, half spectrum)."""

    gradient: NDArray[np.complex64]
    energy: NDArray[np.complex64]


@dataclass(frozen=True, eq=False)
class Peak:
    """Where a patch fits a window well.

    Attributes:
        quality: Normalised correlation, at most 1.
        x_px: Of the patch's centre from the window's centre, to the east.
        y_px: The same, to the south.
        spread_px2: 2 x 2 float64, of the likelihood about it: long along a road, where the fit may slide.
    """

    quality: float
    x_px: float
    y_px: float
    spread_px2: NDArray[np.float64]


class Correlator:
    """Correlates patches of one size with windows of one size.

    Args:
        patch_px: Side of a patch, pixels.
        reach_px: How far from the window's centre the patch's centre may be found, pixels.
    """

    def __init__(self, patch_px: int, reach_px: int) -> None:
        self.patch_px = patch_px
        self.reach_px = reach_px
        self.window_px = patch_px + 2 * reach_px
        side = fft.next_fast_len(self.window_px)
        self._shape = (side, side)

    def templates(self, fields: Sequence[Field]) -> Templates:
        """Of fields of `patch_px` x `patch_px`."""
        return Templates(
            np.conj(fft.fft2(np.stack([field.gradient for field in fields]), self._shape)),
            np.conj(fft.rfft2(np.stack([field.mask for field in fields]), self._shape)),
            np.array([field.energy.sum() for field in fields], np.float64),
        )

    def window(self, field: Field) -> Window:
        """Of a field of `window_px` x `window_px`."""
        return Window(fft.fft2(field.gradient, self._shape), fft.rfft2(field.energy, self._shape))

    def scores(self, templates: Templates, window: Window) -> NDArray[np.float32]:
        """T x (2 reach + 1) x (2 reach + 1) float32, the normalised correlation at each shift."""
        here = np.s_[:, : 2 * self.reach_px + 1, : 2 * self.reach_px + 1]
        product = fft.ifft2(templates.gradient * window.gradient)[here].real
        energy = fft.irfft2(templates.mask * window.energy, self._shape)[here]
        own = templates.energy[:, None, None]
        least = (_LEAST_SHARE * own + 1e-6).astype(np.float32)
        scores: NDArray[np.float32] = product / np.sqrt(
            np.maximum(energy, least) * np.maximum(own, 1e-6).astype(np.float32)
        )
        return scores

    def best(self, templates: Templates, window: Window) -> list[tuple[float, float, float]]:
        """The highest score of each, and x and y of its shift as of `Peak`."""
        found = []
        for scores in self.scores(templates, window):
            row, column = divmod(int(scores.argmax()), scores.shape[1])
            found.append((float(scores[row, column]), *_shift(scores, row, column)))
        return found


def peaks(
    scores: NDArray[np.float32], count: int, near: tuple[float, float, float] | None = None
) -> list[Peak]:
    """The highest values of (2 R + 1) x (2 R + 1) scores that lie apart from one another, best first.

    Each is placed to a fraction of a pixel by parabolas through its neighbours.

    Args:
        scores: By rows to the south and columns to the east of the shift (-R, -R).
        count: How many at most.
        near: x and y of a shift and a radius, pixels: only those within; None: all.
    """
    reach = len(scores) // 2
    left = np.where(scores >= cv2.dilate(scores, np.ones((3, 3), np.uint8)), scores, -np.inf)
    if near is not None:
        rows, columns = np.ogrid[-reach : reach + 1, -reach : reach + 1]
        left[np.hypot(columns - near[0], rows - near[1]) > near[2]] = -np.inf
    found = []
    for _ in range(count):
        row, column = divmod(int(left.argmax()), scores.shape[1])
        if not np.isfinite(left[row, column]):
            break
        x, y = _shift(scores, row, column)
        found.append(Peak(float(scores[row, column]), x, y, _spread(scores, row, column)))
        top, start = max(row - _APART_PX, 0), max(column - _APART_PX, 0)
        left[top : row + _APART_PX + 1, start : column + _APART_PX + 1] = -np.inf
    return found


def _shift(scores: NDArray[np.float32], row: int, column: int) -> tuple[float, float]:
    """A peak's x and y from the middle, to a fraction of a pixel."""
    reach = len(scores) // 2
    x = column + _vertex(scores[row, max(column - 1, 0) : column + 2])
    y = row + _vertex(scores[max(row - 1, 0) : row + 2, column])
    return x - reach, y - reach


def _spread(scores: NDArray[np.float32], row: int, column: int) -> NDArray[np.float64]:
    """Second moments about a peak, in pixels east and north, of the likelihood that the scores stand for."""
    top, start = max(row - _APART_PX, 0), max(column - _APART_PX, 0)
    near = scores[top : row + _APART_PX + 1, start : column + _APART_PX + 1]
    weight = np.exp((near - scores[row, column]) * _LIKELIHOOD_SLOPE).astype(np.float64)
    y, x = np.mgrid[top : top + near.shape[0], start : start + near.shape[1]]
    offsets = np.stack([x - column, row - y], axis=-1).reshape(-1, 2)
    share = weight.reshape(-1, 1) / weight.sum()
    spread: NDArray[np.float64] = (share * offsets).T @ offsets
    return spread


def _vertex(values: NDArray[np.float32]) -> float:
    """Offset of a parabola's top from the middle of three values; 0 at the border."""
    if len(values) < 3:
        return 0.0
    before, middle, after = (float(v) for v in values)
    bend = before - 2 * middle + after
    return float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5)) if bend < -1e-12 else 0.0


class KeptWindows:
    """The transforms of the last windows, by their centre.

    Args:
        make: Reads and transforms the window about a point (east, north in metres).
    """

    def __init__(self, make: Callable[[float, float], Window]) -> None:
        self._make = make
        self._kept: OrderedDict[tuple[int, int], Window] = OrderedDict()

    def about(self, east_m: float, north_m: float) -> Window:
        """The window about a point, to the centimetre."""
        key = (math.floor(east_m * 100), math.floor(north_m * 100))
        window = self._kept.pop(key, None) or self._make(east_m, north_m)
        self._kept[key] = window
        if len(self._kept) > _KEPT_WINDOWS:
            self._kept.popitem(last=False)
        return window
