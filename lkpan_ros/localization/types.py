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
    from lkpan_ros.localization.view import Pose


class Reason(str, Enum):
    """Why a frame yields no fix."""

    BAD_IMAGE = "bad_image"  # the picture cannot be decoded or shows nothing
    STALE_FRAME = "stale_frame"  # its stamp repeats or goes back
    VIEW_INVALID = "view_invalid"  # height or attitude make no ground patch (horizon, on the ground, NaN)
    OUT_OF_MAP = "out_of_map"  # the view leaves the gallery, or the prior leaves no tile of it
    LOW_SIMILARITY = "low_similarity"  # nothing in the gallery looks like it
    AMBIGUOUS = "ambiguous"  # several places look alike
    UNCERTAIN = "uncertain"  # the place is known, but not well enough
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
class Odometry:
    """Where odometry has the vehicle when a picture is taken. Only differences between two of them count.

    Attributes:
        position_m: (3,) float64, metres in the odometry's own frame, z up.
        rotation: 3 x 3 float64, that frame from body (REP-103: x forward, y left, z up).
    """

    position_m: NDArray[np.float64]
    rotation: NDArray[np.float64]


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
        odometry: Of the same moment, or None where there is none.
    """

    stamp_s: float
    image: NDArray[np.uint8]
    intrinsics: Intrinsics | None = None
    attitude: Attitude | None = None
    height_m: float | None = None
    prior: Prior | None = None
    odometry: Odometry | None = None

    @property
    def heading_deg(self) -> float | None:
        """As it was sensed, clockwise from north, or None."""
        return None if self.attitude is None else self.attitude.heading_deg


@dataclass(frozen=True, eq=False)
class GroundView:
    """What a frame shows of the ground, at the footprint of the gallery's tiles.

    Attributes:
        patch: P x P x 3 uint8, RGB, seen from above; north is up if the heading is as it was taken to be.
        mask: P x P bool, True where the frame showed the ground.
        heading_known: False: the heading is unknown and was assumed.
        offset_m: (2,) float64, east and north from the vehicle to the centre of the patch; None where height or
            attitude are unknown. It turns with the heading.
        pose: Of the camera, as known or assumed.
        turn_deg: By which the heading was taken to lie clockwise of the sensed one, or of north where it is unknown.
    """

    patch: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    heading_known: bool
    offset_m: NDArray[np.float64] | None
    pose: Pose
    turn_deg: float


@dataclass(frozen=True, eq=False)
class Matches:
    """The tiles that look most like the view, best first; each tile once.

    Attributes:
        tile: (K,) int64, row of the gallery.
        similarity: (K,) float32, inner product of unit descriptors.
        position_m: (K, 2) float64, the tiles' centres, east and north in the gallery's frame.
        rotation: (K,) int64, index of the descriptor that matched; there is one for each heading that was looked under.
        turn_deg: (K,) float64, of the view that this descriptor is of; see `GroundView.turn_deg`.
    """

    tile: NDArray[np.int64]
    similarity: NDArray[np.float32]
    position_m: NDArray[np.float64]
    rotation: NDArray[np.int64]
    turn_deg: NDArray[np.float64]

    @property
    def best_turn_deg(self) -> float:
        """Of the view that looks most like some tile; 0 where there is no tile."""
        return float(self.turn_deg[0]) if len(self.turn_deg) else 0.0


@dataclass(frozen=True, eq=False)
class Registrations:
    """Where a view may lie on the map: N places, found in windows about some matches.

    Attributes:
        match: (N,) int64, the match about which the window lies.
        view: (N,) int64, which of the frame's views was registered (there are several where the heading is unknown).
        position_m: (N, 2) float64, of the centre of the patch, east and north in the gallery's frame.
        spread_m2: (N, 2, 2) float64, of the likelihood about it.
        turn_deg: (N,) float64, by which the patch is turned clockwise to lie on the map.
        scale: (N,) float64, metres on the map for a metre of the patch.
        quality: (N,) float64, of the fit, at most 1.
        similarity: (N,) float32, of the match.
        fitted: (N,) bool, True where turn and scale were fitted.
        sought: (N,) bool, True where it is not among the best of its window, but the best where the view was expected.
    """

    match: NDArray[np.int64]
    view: NDArray[np.int64]
    position_m: NDArray[np.float64]
    spread_m2: NDArray[np.float64]
    turn_deg: NDArray[np.float64]
    scale: NDArray[np.float64]
    quality: NDArray[np.float64]
    similarity: NDArray[np.float32]
    fitted: NDArray[np.bool_]
    sought: NDArray[np.bool_]


@dataclass(frozen=True)
class Timings:
    """Seconds that each stage of one frame took."""

    view_s: float = 0.0
    encode_s: float = 0.0
    search_s: float = 0.0
    refine_s: float = 0.0
    filter_s: float = 0.0
    decide_s: float = 0.0

    @property
    def total_s(self) -> float:
        """Frame to fix, seconds."""
        return self.view_s + self.encode_s + self.search_s + self.refine_s + self.filter_s + self.decide_s


@dataclass(frozen=True, eq=False)
class Fix:
    """A position that the gate let through.

    Attributes:
        stamp_s: Capture time of the frame, seconds.
        position: Of the vehicle or of the view, as `reference` says.
        covariance_m2: 2 x 2 float64, east and north, of `position` on the earth: the map's own error is part of it.
        reference: Whose position it is.
        view: The ground point in the middle of the patch.
        view_covariance_m2: 2 x 2 float64, of `view`.
        probability: That the view lies within `gate.radius_m` of `view`.
        matches: The tiles that look most like the view.
        heading_deg: Of the camera, clockwise from north, as the map says, or None where no view was registered.
        registrations: Where the view lies, as found around the best tiles.
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
    heading_deg: float | None = None
    registrations: Registrations | None = None
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
        registrations: Where the view may lie, where the refinement came that far.
        timings: What each stage took.
    """

    stamp_s: float
    reason: Reason
    detail: str
    probability: float | None = None
    matches: Matches | None = None
    registrations: Registrations | None = None
    timings: Timings = field(default_factory=Timings)
