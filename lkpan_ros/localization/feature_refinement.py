"""Registration by local features: SIFT, matched with the ratio test, and a similarity transform found by RANSAC.

D. G. Lowe, "Distinctive image features from scale-invariant keypoints" (IJCV 2004); OpenCV does the work. It needs
texture that looks the same in map and view, which another season or a blurred view does not have; where there is
such texture it finds turn and scale without being told where to look.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np

from lkpan_ros.localization.geodesy import wrap_degrees
from lkpan_ros.localization.types import Registrations
from lkpan_ros.localization.windows import windows_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lkpan_ros.localization.config import RefinementSettings
    from lkpan_ros.localization.gallery import Gallery
    from lkpan_ros.localization.refinement import Expected
    from lkpan_ros.localization.types import GroundView, Matches

    Features = tuple[Sequence[cv2.KeyPoint], NDArray[np.float32] | None]

_PATCH_PX = 192
_RATIO = 0.8
_RESIDUAL_PX = 3.0
_LEAST_INLIERS = 4  # two points make a similarity; fewer than two more prove nothing
_HALF_INLIERS = 20.0  # this many inliers have a quality of one half
SCALE_BOUNDS = (0.66, 1.5)  # metres on the map for a metre of a patch; beyond, it is no view of the place


class FeatureRefiner:
    """Registers by local features.

    Args:
        gallery: Its mosaic is the map.
        settings: Number and reach of the windows.
    """

    def __init__(self, gallery: Gallery, settings: RefinementSettings) -> None:
        self._gallery = gallery
        self._settings = settings
        self._gsd_m = gallery.tile_size_m / _PATCH_PX
        self._window_px = _PATCH_PX + 2 * math.ceil(settings.reach_m / self._gsd_m)
        self._sift = cv2.SIFT.create(contrastThreshold=0.02)
        self._matcher = cv2.BFMatcher(cv2.NORM_L2)

    def refine(
        self,
        views: Sequence[GroundView],
        matches: Matches,
        turns_deg: Sequence[float],
        windows: int,
        expected: Sequence[Expected] = (),  # noqa: ARG002 - features lie where they lie
    ) -> Registrations:
        """See `refinement.Refiner`. A turn must lie within a step of one of `turns_deg`."""
        chosen = windows_of(matches, self._settings.apart_m, windows)
        of_view = {int(v): self._features(*_resized(views[v])) for v in set(matches.rotation[chosen])}
        fits = [
            self._fit(of_view[int(matches.rotation[m])], matches.position_m[m], turns_deg) for m in chosen
        ]
        table = np.array(fits, np.float64).reshape(-1, 5)
        return Registrations(
            match=chosen,
            view=matches.rotation[chosen],
            position_m=table[:, :2],
            # Where nothing fits, the view is anywhere in the window.
            spread_m2=(table[:, 4] == 0.0)[:, None, None] * np.eye(2) * (self._settings.reach_m / 2) ** 2,
            turn_deg=table[:, 2],
            scale=table[:, 3],
            quality=table[:, 4],
            similarity=matches.similarity[chosen],
            fitted=table[:, 4] > 0.0,
            sought=np.zeros(len(table), np.bool_),
        )

    def _features(self, rgb: NDArray[np.uint8], mask: NDArray[np.bool_]) -> Features:
        grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        known = cv2.erode(mask.astype(np.uint8), np.ones((9, 9), np.uint8), borderValue=0)
        points, descriptors = self._sift.detectAndCompute(grey, known)
        return points, None if descriptors is None else descriptors.astype(np.float32)

    def _fit(
        self, patch: Features, centre_m: NDArray[np.float64], turns_deg: Sequence[float]
    ) -> tuple[float, float, float, float, float]:
        """East and north of the patch's centre (m), turn (degrees), scale and quality; quality 0 where none fits."""
        east_m, north_m = (float(value) for value in centre_m)
        nothing = (east_m, north_m, 0.0, 1.0, 0.0)
        rgb, mask = self._gallery.window(east_m, north_m, self._window_px * self._gsd_m, self._window_px)
        source, target = self._pairs(patch, self._features(rgb, mask))
        if len(source) < _LEAST_INLIERS:
            return nothing
        transform, inlier = cv2.estimateAffinePartial2D(
            source,
            target,
            method=cv2.RANSAC,
            ransacReprojThreshold=_RESIDUAL_PX,
            maxIters=2000,
            confidence=0.99,
        )
        count = 0 if transform is None else int(inlier.sum())
        if count < _LEAST_INLIERS:
            return nothing
        scale = math.hypot(transform[0, 0], transform[1, 0])
        turn_deg = math.degrees(
            math.atan2(transform[1, 0], transform[0, 0])
        )  # rows grow downwards: clockwise
        if not (SCALE_BOUNDS[0] <= scale <= SCALE_BOUNDS[1] and self._plausible(turn_deg, turns_deg)):
            return nothing
        middle = transform @ np.array([(_PATCH_PX - 1) / 2, (_PATCH_PX - 1) / 2, 1.0])
        x_px, y_px = middle - (self._window_px - 1) / 2
        if max(abs(x_px), abs(y_px)) * self._gsd_m > self._settings.reach_m:
            return nothing
        quality = count / (count + _HALF_INLIERS)
        return east_m + x_px * self._gsd_m, north_m - y_px * self._gsd_m, turn_deg, scale, quality

    def _pairs(self, patch: Features, window: Features) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Points of the patch and of the window that look alike, (M, 2) float32 each."""
        (points, descriptors), (others, of_others) = patch, window
        none = np.zeros((0, 2), np.float32)
        if descriptors is None or of_others is None or len(of_others) < 2:
            return none, none
        pairs = [
            best for best, second in self._matcher.knnMatch(descriptors, of_others, k=2)
            if best.distance < _RATIO * second.distance
        ]  # fmt: skip
        source = np.array([points[pair.queryIdx].pt for pair in pairs], np.float32).reshape(-1, 2)
        return source, np.array([others[pair.trainIdx].pt for pair in pairs], np.float32).reshape(-1, 2)

    def _plausible(self, turn_deg: float, turns_deg: Sequence[float]) -> bool:
        apart = wrap_degrees(np.array(turns_deg) - turn_deg)
        return bool(np.abs(apart).min() <= self._settings.turn_step_deg)


def _resized(view: GroundView) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The patch and its mask at the resolution of the windows."""
    size = (_PATCH_PX, _PATCH_PX)
    patch = cv2.resize(view.patch, size, interpolation=cv2.INTER_AREA)
    mask = cv2.resize(view.mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    return np.asarray(patch, np.uint8), mask.astype(np.bool_)
