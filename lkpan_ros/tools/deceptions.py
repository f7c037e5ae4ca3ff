"""Ways to fool a localizer: what is done to the frames of a flight before it gets them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import cv2
import numpy as np

from lkpan_ros.localization.camera import Intrinsics
from lkpan_ros.localization.geodesy import LocalFrame
from lkpan_ros.localization.types import Prior
from lkpan_ros.simulation.world import DATUM
from lkpan_ros.tools.trial_seed import Variant, everything
from lkpan_ros.tools.trial_site import ELSEWHERE, EXCURSION, HORIZON, LOOP, WINTER, middle_third

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from lkpan_ros.localization.types import Frame
    from lkpan_ros.tools.trial_pictures import TrialFrame
    from lkpan_ros.tools.trial_seed import Teller

    Image = NDArray[np.uint8]

_DEFOCUS_PX = 12.0
_FOCAL_RATIO = 1.3
_DISTORTION = (-0.28, 0.08, 0.0, 0.0, 0.0)  # of an ordinary wide lens
_SPOOF_MPS, _SPOOF_RADIUS_M = 4.0, 20.0
_SEED = 0xF001


@dataclass(frozen=True)
class Deception:
    """One way, and what must come of it.

    Attributes:
        variant: The flight, and what the localizer is told of it.
        what: In words.
        whole: It lasts from the first frame to the last; else for the middle third of the flight.
    """

    variant: Variant
    what: str
    whole: bool

    def stretch(self, seconds: float) -> tuple[float, float]:
        """When it begins and ends, seconds from the start of a flight of so many."""
        return (0.0, float("inf")) if self.whole else middle_third(seconds)


def deceptions(seconds: float) -> dict[str, Deception]:
    """All of them by name, for flights of so many seconds."""
    for_a_while = partial(_middle, seconds)
    found = [
        _whole("none", everything, "nothing is wrong: the flight to compare with"),
        for_a_while("frozen", Frozen, "the camera repeats one picture under new stamps"),
        for_a_while("black", Black, "no signal: every pixel is 0"),
        for_a_while("lens_cap", LensCap, "the noise of a covered sensor"),
        for_a_while("saturated", Saturated, "three stops too much light"),
        for_a_while("defocused", Defocused, f"blurred by {_DEFOCUS_PX:g} pixels"),
        for_a_while("mirrored", Mirrored, "left and right are exchanged"),
        Deception(
            Variant("horizon", HORIZON, everything), "the gimbal looks at the horizon, unnoticed", False
        ),
        Deception(Variant("elsewhere", ELSEWHERE, everything), "the pictures are of another place", False),
        Deception(Variant("wrong_season", WINTER, everything), "flown in winter over the summer's map", True),
        _whole("focal_30", partial(Focal, _FOCAL_RATIO), "the stated focal length is 30 % too long"),
        _whole("lens", Lens, "the lens distorts and nobody said so"),
        _whole("heading_20", partial(Heading, 20.0), "the heading is off by 20 degrees"),
        _whole("heading_180", partial(Heading, 180.0), "the heading is off by 180 degrees"),
        for_a_while(
            "heading_stale", StaleHeading, "the heading stays what it was, and is right again afterwards"
        ),
        _whole("height_low_30", partial(Height, 0.7), "the height is 30 % too low"),
        _whole("height_high_30", partial(Height, 1.3), "the height is 30 % too high"),
        Deception(Variant("out_of_map", EXCURSION, everything), "out of the map for minutes, and back", True),
        _whole(
            "spoofed_prior",
            partial(SpoofedPrior, seconds / 3.0),
            f"prior_fix is led away at {_SPOOF_MPS:g} m/s after a third of the flight",
        ),
    ]
    return {deception.variant.name: deception for deception in found}


def _whole(name: str, teller: Callable[[], Teller], what: str) -> Deception:
    return Deception(Variant(name, LOOP, teller), what, whole=True)


def _middle(seconds: float, name: str, lie: Callable[[], Teller], what: str) -> Deception:
    return Deception(Variant(name, LOOP, partial(Between, *middle_third(seconds), lie)), what, whole=False)


class Between:
    """Lies for a while.

    Args:
        start_s: When it begins.
        end_s: When it ends.
        lie: Makes what is told meanwhile.
    """

    def __init__(self, start_s: float, end_s: float, lie: Callable[[], Teller]) -> None:
        self._start_s, self._end_s, self._lie = start_s, end_s, lie()

    def __call__(self, shot: TrialFrame) -> Frame:
        """The frame, or the lie."""
        return self._lie(shot) if self._start_s <= shot.frame.stamp_s < self._end_s else shot.frame


class Picture:
    """Changes the picture and nothing else."""

    def __call__(self, shot: TrialFrame) -> Frame:
        """The frame with another picture."""
        return replace(shot.frame, image=np.ascontiguousarray(self.changed(shot.frame.image)))

    def changed(self, image: Image) -> Image:
        """H x W x 3 uint8, RGB."""
        raise NotImplementedError


class Frozen(Picture):
    """The first picture for ever."""

    def __init__(self) -> None:
        self._image: Image | None = None

    def changed(self, image: Image) -> Image:
        """The first one."""
        self._image = image if self._image is None else self._image
        return self._image


class Black(Picture):
    """Nothing."""

    def changed(self, image: Image) -> Image:
        """All zero."""
        return np.zeros_like(image)


class LensCap(Picture):
    """The dark noise of a sensor whose gain is turned up."""

    def __init__(self) -> None:
        self._rng = np.random.default_rng(_SEED)

    def changed(self, image: Image) -> Image:
        """Noise about a dark grey, blotched as compression makes it."""
        noise = self._rng.normal(12.0, 9.0, image.shape).clip(0.0, 255.0).astype(np.uint8)
        packed = cv2.imencode(".jpg", noise, [cv2.IMWRITE_JPEG_QUALITY, 40])[1]
        return np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)


class Saturated(Picture):
    """Far too much light: only shadows are left."""

    def changed(self, image: Image) -> Image:
        """Eight times as bright."""
        return np.asarray(cv2.convertScaleAbs(image, alpha=8.0), np.uint8)


class Defocused(Picture):
    """Out of focus."""

    def changed(self, image: Image) -> Image:
        """Blurred."""
        return np.asarray(cv2.GaussianBlur(image, (0, 0), _DEFOCUS_PX), np.uint8)


class Mirrored(Picture):
    """As seen in a mirror."""

    def changed(self, image: Image) -> Image:
        """Left and right exchanged."""
        return image[:, ::-1]


class Lens(Picture):
    """A lens that distorts, of a camera that says it does not."""

    def changed(self, image: Image) -> Image:
        """Barrel distortion."""
        height, width = image.shape[:2]
        camera = Intrinsics.from_field_of_view(width, height, 70.0)
        v, u = np.mgrid[0:height, 0:width].astype(np.float32)
        seen = cv2.undistortPoints(
            np.stack([u, v], axis=-1).reshape(-1, 1, 2), camera.matrix, np.array(_DISTORTION), P=camera.matrix
        ).reshape(height, width, 2)
        drawn = cv2.remap(
            image, seen[..., 0], seen[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        return np.asarray(drawn, np.uint8)


@dataclass(frozen=True)
class Focal:
    """States a wrong focal length.

    Attributes:
        ratio: Stated over true.
    """

    ratio: float

    def __call__(self, shot: TrialFrame) -> Frame:
        """The frame with another camera."""
        camera = shot.frame.intrinsics
        assert camera is not None
        wrong = replace(camera, fx_px=camera.fx_px * self.ratio, fy_px=camera.fy_px * self.ratio)
        return replace(shot.frame, intrinsics=wrong)


@dataclass(frozen=True)
class Heading:
    """A compass that is off.

    Attributes:
        error_deg: Added to the heading.
    """

    error_deg: float

    def __call__(self, shot: TrialFrame) -> Frame:
        """The frame with another heading."""
        return _headed(shot.frame, (_heading_deg(shot.frame) + self.error_deg) % 360.0)


class StaleHeading:
    """The first heading for ever, as that of a GNSS track is while a vehicle hovers and turns."""

    def __init__(self) -> None:
        self._heading_deg: float | None = None

    def __call__(self, shot: TrialFrame) -> Frame:
        """The frame with that heading."""
        self._heading_deg = _heading_deg(shot.frame) if self._heading_deg is None else self._heading_deg
        return _headed(shot.frame, self._heading_deg)


def _heading_deg(frame: Frame) -> float:
    assert frame.attitude is not None
    assert frame.attitude.heading_deg is not None
    return frame.attitude.heading_deg


def _headed(frame: Frame, heading_deg: float) -> Frame:
    assert frame.attitude is not None
    return replace(frame, attitude=replace(frame.attitude, heading_deg=heading_deg))


@dataclass(frozen=True)
class Height:
    """An altimeter that is off.

    Attributes:
        ratio: Stated over true.
    """

    ratio: float

    def __call__(self, shot: TrialFrame) -> Frame:
        """The frame with another height."""
        assert shot.frame.height_m is not None
        return replace(shot.frame, height_m=shot.frame.height_m * self.ratio)


@dataclass(frozen=True)
class SpoofedPrior:
    """A GNSS that is right at first and then led away to the east, sure of itself.

    Attributes:
        start_s: When it begins to drift.
    """

    start_s: float
    frame: LocalFrame = field(default_factory=lambda: LocalFrame(DATUM), repr=False)

    def __call__(self, shot: TrialFrame) -> Frame:
        """The frame with a prior."""
        away_m = max(0.0, shot.frame.stamp_s - self.start_s) * _SPOOF_MPS
        east, north = self.frame.to_local(shot.vehicle.lat_deg, shot.vehicle.lon_deg)
        return replace(
            shot.frame, prior=Prior(self.frame.point(float(east) + away_m, float(north)), _SPOOF_RADIUS_M)
        )
