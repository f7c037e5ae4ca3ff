"""Every default of the localizer, once, with its unit, range and meaning."""

from __future__ import annotations

from dataclasses import dataclass, field

from lkpan_ros.localization.settings import setting


@dataclass(frozen=True)
class GallerySettings:
    """Which gallery."""

    path: str = setting("", "gallery file made by build_gallery", fixed=True)
    index: str = setting(
        "",
        "how tiles are looked up: exact, or the FAISS factory string that the file was built with; "
        "empty: as the file was built",
        fixed=True,
    )
    map_sigma_m: float = setting(
        5.0,
        "standard deviation of the map's own position, metres on each axis, which is part of every stated covariance: "
        "satellite imagery lies some metres off; 0 for a map surveyed with ground control",
        low=0.0,
        high=1000.0,
    )


@dataclass(frozen=True)
class EncoderSettings:
    """Which weights, and where they run."""

    weights: str = setting(
        "lite",
        "shipped variant, or path of a .safetensors file or of an exported network (.onnx, .xml)",
        fixed=True,
    )
    engine: str = setting(
        "torch",
        "library that runs the network; openvino is the fastest on a CPU; all but torch are installed on their own",
        choices=("torch", "openvino", "onnxruntime"),
        fixed=True,
    )
    device: str = setting(
        "auto", "auto, cpu, cuda or cuda:N; the engines beside torch run on the cpu", fixed=True
    )
    precision: str = setting(
        "auto", "arithmetic of the network", choices=("auto", "fp32", "bf16", "fp16"), fixed=True
    )


@dataclass(frozen=True)
class CalibrationSettings:
    """Which calibrated figures."""

    path: str = setting(
        "",
        "calibration file written by calibrate; empty: NAME.calibration.json beside the gallery where it exists, "
        "else the shipped figures; none: the shipped figures",
        fixed=True,
    )


@dataclass(frozen=True)
class CameraSettings:
    """The camera and how it is mounted."""

    hfov_deg: float = setting(
        0.0, "horizontal field of view, degrees; 0: take camera_info", low=0.0, high=179.0
    )
    tilt_deg: float = setting(
        0.0, "tilt of the camera from straight down towards the vehicle's front, degrees", low=0.0, high=90.0
    )
    stabilized: bool = setting(
        False,
        "true: a gimbal holds the tilt against the horizon, only the heading is taken from imu; "
        "false: the camera is fixed to the vehicle and turns with it",
    )


@dataclass(frozen=True)
class ViewSettings:
    """From a frame to a ground patch."""

    max_tilt_deg: float = setting(
        70.0, "a view tilted further from straight down is refused, degrees", low=0.0, high=89.0
    )
    min_coverage: float = setting(
        0.6, "smallest share of the tile's footprint that the frame must show", low=0.05, high=1.0
    )
    min_height_m: float = setting(5.0, "a camera lower above the ground is refused, metres", low=0.1)
    min_contrast: float = setting(
        4.0, "smallest standard deviation of the patch's grey values (0..255) that shows anything", low=0.0
    )
    tilt_sigma_deg: float = setting(3.0, "standard deviation of the tilt, degrees", low=0.0, high=45.0)
    heading_sigma_deg: float = setting(5.0, "standard deviation of the heading, degrees", low=0.0, high=180.0)
    height_sigma_ratio: float = setting(
        0.05, "standard deviation of the height above ground, as a share of it", low=0.0, high=1.0
    )
    without_geometry: str = setting(
        "view",
        "what a frame of unknown height or attitude may yield: a fix of the view's centre, or none",
        choices=("view", "refuse"),
    )
    unknown_offset_m: float = setting(
        100.0, "standard deviation of the vehicle about a view whose geometry is unknown, metres", low=0.0
    )


@dataclass(frozen=True)
class SearchSettings:
    """Retrieval."""

    candidates: int = setting(100, "tiles that the decision looks at", low=2, high=10_000)
    prior_margin_m: float = setting(
        100.0, "added to the radius of a prior before it restricts the search, metres", low=0.0
    )


@dataclass(frozen=True)
class RefinementSettings:
    """Registration of the view to the map around the best tiles."""

    method: str = setting(
        "correlation",
        "correlation: of gradients, robust to season and blur; features: SIFT with RANSAC",
        choices=("correlation", "features"),
        fixed=True,
    )
    windows: int = setting(12, "places of the map that the view is laid on", low=1, high=200, fixed=True)
    peaks: int = setting(3, "positions of the view that each window may offer", low=1, high=20, fixed=True)
    tracked_windows: int = setting(5, "the same while the place is known", low=1, high=200, fixed=True)
    reach_m: float = setting(
        60.0, "how far from a tile's centre the view is sought, metres", low=1.0, high=1000.0, fixed=True
    )
    fitted: int = setting(2, "best places whose turn and scale are fitted too", low=0, high=50, fixed=True)
    turn_step_deg: float = setting(
        9.0, "step of the turns that are tried about a heading, degrees", low=1.0, high=90.0, fixed=True
    )
    turn_reach_deg: float = setting(
        9.0, "how far a known heading may be off, degrees", low=0.0, high=90.0, fixed=True
    )
    scale_reach: float = setting(
        1.4,
        "by what factor more or less the ground in a view may measure than height and focal length say, where method is "
        "correlation; 1: no other scale is tried",
        low=1.0,
        high=1.45,
        fixed=True,
    )

    @property
    def apart_m(self) -> float:
        """Distance of windows that are not the same, metres."""
        return 0.7 * self.reach_m


@dataclass(frozen=True)
class SimilaritySettings:
    """From similarities to probabilities."""

    temperature: float = setting(
        1.06,
        "similarity difference that changes the odds by e, in standard deviations of the similarities to foreign places",
        low=1e-3,
        high=100.0,
    )
    none_of_these: float = setting(
        9.72,
        "how far above the mean of foreign places a similarity must be to be as likely as a view of none of the gallery, "
        "in the same unit, where the view fits no better than by chance",
        low=-100.0,
        high=100.0,
    )


PATCH_PX = 64  # side of a patch when it is laid on the map; errors of registration are stated in its pixels


@dataclass(frozen=True)
class RegistrationSettings:
    """From the quality of a registration to probabilities, and its error."""

    quality_slope: float = setting(
        1.02,
        "change of the log odds by a standard deviation of the qualities of a frame's wrong registrations",
        low=0.0,
    )
    sigma_px: float = setting(
        1.01, "standard deviation of a right fit, in 64ths of a tile, on each axis", low=0.01, high=32.0
    )
    turn_sigma_deg: float = setting(2.0, "standard deviation of a fitted turn, degrees", low=0.01, high=90.0)
    scale_sigma: float = setting(
        0.05,
        "standard deviation of a fitted scale, roofs and trees nearer to the camera than the ground among it",
        low=0.001,
        high=1.0,
    )


@dataclass(frozen=True)
class FilterSettings:
    """The filter over time."""

    max_speed_mps: float = setting(
        20.0, "the vehicle flies no faster, metres per second", low=0.1, high=500.0
    )
    velocity_memory_s: float = setting(
        5.0, "without odometry: how long a velocity lasts, seconds", low=0.1, high=1000.0
    )
    odometry_sigma_ratio: float = setting(
        0.05, "standard deviation of odometry, as a share of the distance", low=0.0, high=1.0
    )
    turn_rate_sigma_dps: float = setting(
        20.0,
        "where the heading is unknown: how fast it wanders, degrees per square root of a second",
        low=0.0,
    )
    loss_rate_per_s: float = setting(
        0.003, "chance per second that the vehicle is not where all before says", low=0.0, high=1.0
    )
    miss_probability: float = setting(
        0.1, "chance that a view of the map is registered nowhere near its place", low=0.001, high=1.0
    )
    upholding: float = setting(
        25.0, "by how much the odds of a place count more where a hypothesis expects it", low=0.0, high=1000.0
    )
    expected_places: int = setting(
        3, "most probable places about which the view is sought in any case", low=0, high=20
    )
    independent_view: float = setting(
        0.62,
        "a frame counts as a new look at the place when its similarity to the last such frame is this much below 1",
        low=0.0,
        high=2.0,
    )


@dataclass(frozen=True)
class GateSettings:
    """Fix or no fix."""

    radius_m: float = setting(30.0, "the position is meant to be right within this distance, metres", low=1.0)
    min_probability: float = setting(
        0.95, "smallest probability of being right within the radius", low=0.0, high=1.0
    )


@dataclass(frozen=True)
class LocalizerConfig:
    """The settings of a localizer, by section."""

    gallery: GallerySettings = field(default_factory=GallerySettings)
    encoder: EncoderSettings = field(default_factory=EncoderSettings)
    calibration: CalibrationSettings = field(default_factory=CalibrationSettings)
    camera: CameraSettings = field(default_factory=CameraSettings)
    view: ViewSettings = field(default_factory=ViewSettings)
    search: SearchSettings = field(default_factory=SearchSettings)
    refinement: RefinementSettings = field(default_factory=RefinementSettings)
    similarity: SimilaritySettings = field(default_factory=SimilaritySettings)
    registration: RegistrationSettings = field(default_factory=RegistrationSettings)
    filter: FilterSettings = field(default_factory=FilterSettings)
    gate: GateSettings = field(default_factory=GateSettings)
