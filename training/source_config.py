"""SourceConfig: where training pairs come from, and how their views are posed."""

from __future__ import annotations

from dataclasses import dataclass

from lkpan_model.errors import ConfigError

NEAR_CANVAS = 1.6  # sqrt 2 to turn, and some to shift
FAR_CANVAS = 2.6  # a camera tilted by 45 degrees sees this far; beyond, the canvas is mirrored


@dataclass(frozen=True)
class CameraConfig:
    """The pinhole camera that takes a source's drone views, aimed at the middle of the satellite view.

    Attributes:
        heading_deg: Direction it looks to, clockwise from the satellite view's up.
        tilt_deg: Of its axis from straight down.
        fov_deg: Angle of view, of a square picture.
        reach: Side of the satellite view over the width of ground that the picture shows at its middle.
    """

    heading_deg: float
    tilt_deg: float
    fov_deg: float
    reach: float

    def __post_init__(self) -> None:
        if not (0 <= self.tilt_deg < 80 and 0 < self.fov_deg < 120 and self.reach > 0):
            raise ConfigError(
                f"camera: tilt_deg {self.tilt_deg} must be in 0..80, fov_deg {self.fov_deg} in 0..120, "
                f"reach {self.reach} above 0"
            )


@dataclass(frozen=True)
class SourceConfig:
    """One source of training pairs.

    Attributes:
        kind: `pairs` (a folder `view/id/images` with the views drone and satellite) or `overhead` (images from
            straight above, of which both views are cut).
        path: The folder (pairs) or glob pattern of images (overhead), relative to the data root.
        share: Its part of every batch, relative to the other sources' shares.
        optional: If the path does not exist: go on without it (True, with a message) or stop (False).
        holdout: Names (ids of pairs, stems of images) or inclusive ranges "0100-0199" kept for validation.
        gsd_m: Ground metres per pixel (overhead only).
        footprint_m: Smallest and largest side of the ground square of a map view (overhead only).
        oblique: Part of the drone views that stay as the tilted camera sees them; the others are rectified
            to the ground plane as the localizer does it (overhead only).
        heading_deg: Largest heading difference between the views.
        turned: Part of the drone views turned by up to 45 degrees, as when the heading is unknown.
        quarter_turns: Turn the satellite view by random multiples of 90 degrees against the drone view.
        camera: Of all drone views: of pairs the one that took them, of overhead images the one to simulate
            instead of a random one. None: not known, or random.
        rectified: Part of the drone views that are rectified to the ground by `camera` (pairs only).
        strength: Of changes in light, lens and sensor; 1 is strong, the satellite view gets half of it.
        through: Show the drone view as Offset-1652 does: through one variant (`Offset-L-1`, `Centre`), through
            `Offset-MIX`, or whole (empty); pairs only.
    """

    kind: str
    path: str
    share: float = 1.0
    optional: bool = False
    holdout: tuple[str, ...] = ()
    gsd_m: float = 1.0
    footprint_m: tuple[float, float] = (60.0, 140.0)
    oblique: float = 0.4
    heading_deg: float = 12.0
    turned: float = 0.25
    quarter_turns: bool = False
    camera: CameraConfig | None = None
    rectified: float = 0.0
    strength: float = 1.0
    through: str = ""

    @property
    def canvas_factor(self) -> float:
        """Side of the pictures that are drawn over the side of a view: room to turn, to shift and to look far."""
        if self.kind == "pairs":
            return 1.0
        return FAR_CANVAS if self.camera else NEAR_CANVAS

    def __post_init__(self) -> None:
        if self.camera is not None and not isinstance(self.camera, CameraConfig):
            raise ConfigError(f"camera of source {self.path} must be a mapping, got {self.camera!r}")
        if self.kind not in ("pairs", "overhead"):
            raise ConfigError(f"kind of source {self.path} must be pairs or overhead, got {self.kind!r}")
        if self.through and self.kind != "pairs":
            raise ConfigError(f"source {self.path}: through {self.through!r} needs a source of pairs")
        if self.rectified and not (self.camera and self.kind == "pairs"):
            raise ConfigError(f"source {self.path}: rectified {self.rectified} needs pairs and their camera")
        if not (0 <= self.rectified <= 1 and 0 <= self.strength <= 2):
            raise ConfigError(
                f"source {self.path}: rectified {self.rectified} must be in 0..1, strength {self.strength} in 0..2"
            )
        low, high = self.footprint_m
        if not (self.gsd_m > 0 and 0 < low <= high and self.share > 0):
            raise ConfigError(
                f"source {self.path}: gsd_m {self.gsd_m}, share {self.share} and footprint_m "
                f"{low} <= {high} must be positive and in order"
            )
        if not (0 <= self.oblique <= 1 and 0 <= self.turned <= 1 and 0 <= self.heading_deg <= 180):
            raise ConfigError(
                f"source {self.path}: oblique {self.oblique} and turned {self.turned} must be in 0..1, "
                f"heading_deg {self.heading_deg} in 0..180"
            )
