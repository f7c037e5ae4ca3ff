"""Every default of the localizer, once, with its unit, range and meaning."""

from __future__ import annotations

from dataclasses import dataclass, field

from lkpan_ros.localization.settings import setting


@dataclass(frozen=True)
class GallerySettings:
    """Which gallery."""

    path: str = setting("", "gallery file made by build_gallery", fixed=True)


@dataclass(frozen=True)
class EncoderSettings:
    """Which weights, and where they run."""

    weights: str = setting("lite", "shipped variant, or path of a .safetensors file", fixed=True)
    device: str = setting("auto", "auto, cpu, cuda or cuda:N", fixed=True)
    precision: str = setting(
        "auto", "arithmetic of the network", choices=("auto", "fp32", "bf16", "fp16"), fixed=True
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
    tilt_sigma_deg: float = setting(2.0, "standard deviation of the tilt, degrees", low=0.0, high=45.0)
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
class SimilaritySettings:
    """From similarities to probabilities."""

    temperature: float = setting(
        0.0316, "similarity difference that changes the odds by e", low=1e-5, high=1.0
    )
    none_of_these: float = setting(
        0.225,
        "how far above the candidates' mean a similarity must be to be as likely as a view of none of the gallery",
        low=-1.0,
        high=2.0,
    )


@dataclass(frozen=True)
class GateSettings:
    """Fix or no fix."""

    radius_m: float = setting(30.0, "the position is meant to be right within this distance, metres", low=1.0)
    min_probability: float = setting(
        0.75, "smallest probability of being right within the radius", low=0.0, high=1.0
    )


@dataclass(frozen=True)
class LocalizerConfig:
    """The settings of a localizer, by section."""

    gallery: GallerySettings = field(default_factory=GallerySettings)
    encoder: EncoderSettings = field(default_factory=EncoderSettings)
    camera: CameraSettings = field(default_factory=CameraSettings)
    view: ViewSettings = field(default_factory=ViewSettings)
    search: SearchSettings = field(default_factory=SearchSettings)
    similarity: SimilaritySettings = field(default_factory=SimilaritySettings)
    gate: GateSettings = field(default_factory=GateSettings)
