"""The localizer of a configuration: weights and gallery from their files.

PyTorch is imported here, when the node is configured: without it the node lives and says what is missing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lkpan_ros.errors import ConfigError, GalleryError
from lkpan_ros.localization.calibration_file import find_calibration

if TYPE_CHECKING:
    from lkpan_model.encoder import Encoder
    from lkpan_ros.localization.calibration_file import CalibrationInUse
    from lkpan_ros.localization.config import LocalizerConfig
    from lkpan_ros.localization.gallery import Gallery
    from lkpan_ros.localization.localizer import Localizer


@dataclass(frozen=True)
class LoadedLocalizer:
    """A localizer and what it was made of."""

    localizer: Localizer
    encoder: Encoder
    calibration: CalibrationInUse


def load_localizer(config: LocalizerConfig) -> LoadedLocalizer:
    """The localizer that `gallery`, `encoder` and `calibration` of a configuration describe.

    Raises:
        LkpanError, ModelError: A file is missing, damaged or does not fit the other, the device is not there, or a
            library is not installed.
    """
    # Threads of torch that wait in a loop starve the camera and the autopilot of the other core. Read at the import.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        from lkpan_ros.localization.encoder_loading import load_encoder  # noqa: PLC0415
        from lkpan_ros.localization.localizer import Localizer  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(f"{error}: install what requirements/runtime.txt lists") from error
    encoder = load_encoder(config.encoder)
    gallery, calibration = load_gallery(config, encoder), load_calibration(config, encoder)
    # The first pass allocates; let no frame pay for it.
    encoder.encode([np.zeros((encoder.image_size, encoder.image_size, 3), np.uint8)])
    return LoadedLocalizer(Localizer(gallery, encoder, calibration.apply(config)), encoder, calibration)


def load_gallery(config: LocalizerConfig, encoder: Encoder) -> Gallery:
    """The gallery that `gallery.path` names.

    Raises:
        GalleryError: It is missing, damaged, of a future version or was made with another encoder.
    """
    from lkpan_ros.localization.gallery import Gallery  # noqa: PLC0415

    if not config.gallery.path:
        raise GalleryError("gallery.path is empty: give the file that build_gallery wrote")
    return Gallery.load(_gallery_path(config), encoder.identity, index=config.gallery.index)


def load_calibration(config: LocalizerConfig, encoder: Encoder) -> CalibrationInUse:
    """The calibration that `calibration.path` names, else the one beside the gallery, else the shipped figures.

    Raises:
        ConfigError: It is missing, damaged, altered, or was fitted for other weights.
    """
    return find_calibration(config, _gallery_path(config), encoder.identity)


def _gallery_path(config: LocalizerConfig) -> Path:
    return Path(config.gallery.path).expanduser()
