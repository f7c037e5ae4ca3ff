"""The frozen records that pass between the stages, from a frame to a fix or a refusal."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from lkpan_ros.errors import LkpanError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lkpan_ros.localization.camera import Attitude, Intrinsics
    from lkpan_ros.localization.geodesy import LatLon


class Reason(str, Enum):
    """Why a frame yields no fix."""

    BAD_IMAGE = "bad_image"  # the picture cannot be decoded or shows nothing
    STALE_FRAME = "stale_frame"  # its stamp repeats or goes back
    VIEW_INVALID = "view_invalid"  # height or attitude make no ground patch (horizon, on the ground, NaN)
    OUT_OF_MAP = "out_of_map"  # the prior leaves no tile of the gallery
    LOW_SIMILARITY = "low_similarity"  # nothing in the gallery looks like it
    AMBIGUOUS = "ambiguous"  # several places look alike
    NO_GALLERY = "no_gallery"  # no gallery is loaded
    INTERNAL_ERROR = "internal_error"  # a defect of this software; the log has the traceback


class Refusal(LkpanError):  # noqa: N818 - a frame is refused; nothing is broken
    """Raised by a stage that cannot go on with a frame; the localizer turns it into a Rejection."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason
        self.detail = detail


class Reference(str, Enum):
    """Whose position a fix states."""

    VEHICLE = "vehicle"
    VIEW = "view"  # the ground in the middle of the view: height or attitude are unknown


@dataclass(frozen=True)
class Prior:
    """Where the vehicle is thought to be, from outside (GNSS before its loss, a geofence).

    Attributes:
        position: Of the vehicle.
        radius_m: The vehicle is within this distance of it.
    """

    position: LatLon
    radius_m: float


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of the camera with all that is known about how it was taken.

    Attributes:
        stamp_s: Capture time, seconds.
        image: H x W x 3 uint8, RGB.
        intrinsics: The camera, or None where unknown.
        attitude: How the camera was turned, or None where unknown. Its heading may be unknown by itself.
        height_m: Height of the camera above the ground, metres, or None where unknown.
        prior: Restricts the search, or None.
    """

    stamp_s: float
    image: NDArray[np.uint8]
    intrinsics: Intrinsics | None = None
    attitude: Attitude | None = None
    height_m: float | None = None
    prior: Prior | None = None


@dataclass(frozen=True, eq=False)
class GroundView:
    """What a frame shows of the ground, at the footprint of the gallery's tiles.

    Attributes:
        patch: P x P x 3 uint8, RGB, seen from above; north is up where the heading is known.
        mask: P x P bool, True where the frame showed the ground.
        north_up: False: the heading is unknown, the patch may be turned by any angle.
        offset_m: (2,) float64, east and north from the vehicle to the centre of the patch; None where height or
            attitude are unknown. Where only the heading is unknown it is meant for the patch as it stands and
            turns with it.
        offset_covariance_m2: 2 x 2 float64, of that offset, from the errors of tilt, heading and height.
    """

    patch: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    north_up: bool
    offset_m: NDArray[np.float64] | None
    offset_covariance_m2: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Matches:
    """The tiles that look most like the view, best first; each tile once.

    Attributes:
        tile: (K,) int64, row of the gallery.
        similarity: (K,) float32, inner product of unit descriptors.
        position_m: (K, 2) float64, the tiles' centres, east and north in the gallery's frame.
        rotation: (K,) int64, index of the descriptor that matched (quarter turns of the patch).
    """

    tile: NDArray[np.int64]
    similarity: NDArray[np.float32]
    position_m: NDArray[np.float64]
    rotation: NDArray[np.int64]


@dataclass(frozen=True)
class Timings:
    """Seconds that each stage of one frame took."""

    view_s: float = 0.0
    encode_s: float = 0.0
    search_s: float = 0.0
    decide_s: float = 0.0

    @property
    def total_s(self) -> float:
        """Frame to fix, seconds."""
        return self.view_s + self.encode_s + self.search_s + self.decide_s


@dataclass(frozen=True, eq=False)
class Fix:
    """A position that the gate let through.

    Attributes:
        stamp_s: Capture time of the frame, seconds.
        position: Of the vehicle or of the view, as `reference` says.
        covariance_m2: 2 x 2 float64, east and north, of `position`.
        reference: Whose position it is.
        view: The ground point in the middle of the patch.
        view_covariance_m2: 2 x 2 float64, of `view`.
        probability: That the view lies within `gate.radius_m` of `view`.
        matches: The tiles it rests on.
        timings: What each stage took.
    """

    stamp_s: float
    position: LatLon
    covariance_m2: NDArray[np.float64]
    reference: Reference
    view: LatLon
    view_covariance_m2: NDArray[np.float64]
    probability: float
    matches: Matches
    timings: Timings = field(default_factory=Timings)


@dataclass(frozen=True, eq=False)
class Rejection:
    """A frame that yields no fix, and why.

    Attributes:
        stamp_s: Capture time of the frame, seconds.
        reason: Why.
        detail: The same with its numbers, for people.
        probability: Of the best place, where the search came that far.
        matches: The best tiles, where the search came that far.
        timings: What each stage took.
    """

    stamp_s: float
    reason: Reason
    detail: str
    probability: float | None = None
    matches: Matches | None = None
    timings: Timings = field(default_factory=Timings)
