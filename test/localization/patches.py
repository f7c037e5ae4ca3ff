"""Views cut from a picture of the ground at a known place, turn and scale."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from lkpan_ros.localization.camera import Attitude, Intrinsics
from lkpan_ros.localization.types import GroundView, Matches
from lkpan_ros.localization.view import Pose

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from test.localization.conftest import Ground

TILE_M, TILE_PX = 90.0, 150  # as in the gallery of `Ground`


def texture(seed: int, side_px: int) -> NDArray[np.uint8]:
    """S x S uint8: blobs of several sizes with some edges."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((side_px, side_px), np.float32)
    for cells in (6, 16, 40):
        noise = rng.uniform(0, 255, (cells, cells)).astype(np.float32)
        picture += cv2.resize(noise, (side_px, side_px), interpolation=cv2.INTER_CUBIC) / 3
    for _ in range(side_px // 4):
        x, y, width, height = (int(v) for v in rng.integers((0, 0, 6, 6), (side_px, side_px, 30, 30)))
        cv2.rectangle(picture, (x, y), (x + width, y + height), int(rng.integers(0, 255)), -1)
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 1.0).clip(0, 255), np.uint8)


def cut(
    picture: NDArray[np.uint8],
    centre: tuple[float, float],
    side_px: int,
    turn_deg: float = 0.0,
    scale: float = 1.0,
) -> NDArray[np.uint8]:
    """The square about (column, row) of a picture that lies on it once it is turned clockwise and magnified."""
    c, s = math.cos(math.radians(turn_deg)) * scale, math.sin(math.radians(turn_deg)) * scale
    linear = np.array([[c, -s], [s, c]])  # rows grow downwards: clockwise
    shift = np.array(centre) - linear @ np.full(2, (side_px - 1) / 2)
    affine = np.column_stack([linear, shift])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(picture, affine, (side_px, side_px), flags=flags), np.uint8)


def view_of(
    ground: Ground, place_m: tuple[float, float], turn_deg: float = 0.0, scale: float = 1.0
) -> GroundView:
    """What a camera straight above a place shows; `turn_deg` and `scale` are those that lay it on the map."""
    gsd_m = 0.6
    middle = (len(ground.image) - 1) / 2
    centre = (middle + place_m[0] / gsd_m, middle - place_m[1] / gsd_m)
    patch = cut(ground.image, centre, TILE_PX, turn_deg, scale)
    return as_view(patch)


def as_view(patch: NDArray[np.uint8], **known: Any) -> GroundView:
    """A patch as a north-up view from 100 m."""
    pose = Pose(Intrinsics.from_field_of_view(320, 240, 70.0), Attitude(0.0, 0.0), 100.0, placed=True)
    facts: dict[str, Any] = {
        "mask": np.ones(patch.shape[:2], np.bool_),
        "heading_known": True,
        "offset_m": np.zeros(2),
        "pose": pose,
    }
    facts |= known
    facts.setdefault("turn_deg", 0.0 if facts["heading_known"] else facts["pose"].attitude.heading_deg)
    return GroundView(patch=patch, **facts)


def matches_at(
    places_m: Sequence[tuple[float, float]], views: Sequence[int] | None = None, similarity: float = 0.5
) -> Matches:
    """One match at each place."""
    count = len(places_m)
    return Matches(
        tile=np.arange(count),
        similarity=np.full(count, similarity, np.float32),
        position_m=np.array(places_m, float).reshape(-1, 2),
        rotation=np.array(views if views is not None else [0] * count, np.int64),
        turn_deg=np.zeros(count),
    )
