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
    from lkpan_ros.localization.signature import PublicKey


@dataclass(frozen=True)
class LoadedLocalizer:
    """A localizer and what it was made of."""

    localizer: Localizer
    encoder: Encoder
    calibration: CalibrationInUse


def load_public_key(path: str) -> PublicKey | None:
    """The key whose signature every file must have; None where no path is given.

    Raises:
        LkpanError: The key cannot be read, or the library that verifies is not installed.
    """
    if not path:
        return None
    try:
        from lkpan_ros.localization.signature import read_public_key  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(f"{error}: install what requirements/runtime.txt lists") from error
    return read_public_key(Path(path).expanduser())


def load_localizer(config: LocalizerConfig, public_key: PublicKey | None = None) -> LoadedLocalizer:
    """The localizer that `gallery`, `encoder` and `calibration` of a configuration describe.

    Raises:
        LkpanError, ModelError: A file is missing, damaged, does not fit the other or is not signed with the key that
            is given, the device is not there, or a library is not installed.
    """
    # Threads of torch that wait in a loop starve the camera and the autopilot of the other core. Read at the import.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        from lkpan_ros.localization.encoder_loading import load_encoder  # noqa: PLC0415
        from lkpan_ros.localization.localizer import Localizer  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(f"{error}: install what requirements/runtime.txt lists") from error
    _require_signed(config, public_key)
    encoder = load_encoder(config.encoder)
    _require_signed(config, public_key, encoder)
    gallery = load_gallery(config, encoder, public_key)
    calibration = load_calibration(config, encoder, public_key)
    # The first pass allocates; let no frame pay for it.
    encoder.encode([np.zeros((encoder.image_size, encoder.image_size, 3), np.uint8)])
    return LoadedLocalizer(Localizer(gallery, encoder, calibration.apply(config)), encoder, calibration)


def _require_signed(
    config: LocalizerConfig, public_key: PublicKey | None, encoder: Encoder | None = None
) -> None:
    """Refuse weights that are not signed: exported networks before an engine sees them, others as they were read."""
    if public_key is None:
        return
    from lkpan_model.checkpoint import resolve_weights  # noqa: PLC0415
    from lkpan_model.exported import SUFFIXES  # noqa: PLC0415
    from lkpan_ros.localization.signed_weights import weights_content  # noqa: PLC0415

    path = resolve_weights(config.encoder.weights)
    if (path.suffix in SUFFIXES) == (encoder is None):
        content = weights_content(path) if encoder is None else encoder.identity.weights_hash
        public_key.require("weights", path, content, _gallery_path(config).parent)


def load_gallery(config: LocalizerConfig, encoder: Encoder, public_key: PublicKey | None = None) -> Gallery:
    """The gallery that `gallery.path` names.

    Raises:
        GalleryError: It is missing, damaged, of a future version or was made with another encoder.
        SignatureError: A key is given, and it is not signed with it.
    """
    from lkpan_ros.localization.gallery import Gallery  # noqa: PLC0415

    if not config.gallery.path:
        raise GalleryError("gallery.path is empty: give the file that build_gallery wrote")
    path, index = _gallery_path(config), config.gallery.index
    return Gallery.load(path, encoder.identity, index, public_key)


def load_calibration(
    config: LocalizerConfig, encoder: Encoder, public_key: PublicKey | None = None
) -> CalibrationInUse:
    """The calibration that `calibration.path` names, else the one beside the gallery, else the shipped figures.

    Raises:
        ConfigError: It is missing, damaged, altered, or was fitted for other weights.
        SignatureError: A key is given, and it is not signed with it.
    """
    return find_calibration(config, _gallery_path(config), encoder.identity, public_key)


def _gallery_path(config: LocalizerConfig) -> Path:
    return Path(config.gallery.path).expanduser()
