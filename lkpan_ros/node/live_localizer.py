"""The localizer of a running node: settings, calibration and gallery change between frames, never within one."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from lkpan_ros.node.loading import load_calibration, load_gallery, load_localizer, load_public_key

if TYPE_CHECKING:
    from lkpan_ros.localization.config import LocalizerConfig
    from lkpan_ros.localization.gallery import Gallery
    from lkpan_ros.localization.types import Fix, Frame, Rejection


class LiveLocalizer:
    """A localizer, its encoder and its calibration; safe to use from several threads.

    Args:
        config: What was given; the calibration is laid under it, now and at every change.
        public_key: File of the key that every file must be signed with; empty: none.

    Raises:
        LkpanError, ModelError: As `load_localizer`.
    """

    def __init__(self, config: LocalizerConfig, public_key: str = "") -> None:
        self._lock = threading.Lock()
        self._public_key = load_public_key(public_key)
        self._loaded = load_localizer(config, self._public_key)
        self._given = config
        self._calibration = self._loaded.calibration

    @property
    def gallery(self) -> Gallery:
        """The gallery in use."""
        return self._loaded.localizer.gallery

    @property
    def config(self) -> LocalizerConfig:
        """The settings in use, calibrated."""
        return self._loaded.localizer.config

    @property
    def calibration(self) -> str:
        """The calibration in use, for people."""
        return self._calibration.describe(self._given)

    @property
    def conflict(self) -> str:
        """As `Localizer.conflict`."""
        return self._loaded.localizer.conflict

    def localize(self, frame: Frame) -> Fix | Rejection:
        """As `Localizer.localize`."""
        with self._lock:
            return self._loaded.localizer.localize(frame)

    def reset(self) -> None:
        """As `Localizer.reset`."""
        with self._lock:
            self._loaded.localizer.reset()

    def configure(self, config: LocalizerConfig) -> None:
        """Use other settings from the next frame on; what was calibrated and is not given stays."""
        with self._lock:
            self._given = config
            self._loaded.localizer.configure(self._calibration.apply(config))

    def reload(self) -> None:
        """Read gallery and calibration again, for the next frame on.

        Raises:
            LkpanError: One of them cannot be used; the old ones stay.
        """
        gallery = load_gallery(self._given, self._loaded.encoder, self._public_key)
        calibration = load_calibration(self._given, self._loaded.encoder, self._public_key)
        with self._lock:
            self._calibration = calibration
            self._loaded.localizer.configure(calibration.apply(self._given))
            self._loaded.localizer.replace_gallery(gallery)

    def facts(self) -> dict[str, str]:
        """What is in use and what the filter believes, for /diagnostics."""
        belief = self._loaded.localizer.belief
        return {
            "filter": f"{len(belief)} places, best {belief.weight.max(initial=0.0):.3f}, "
            f"elsewhere {belief.elsewhere:.3f}",
            "gallery": self._given.gallery.path,
            "gallery_tiles": str(len(self.gallery)),
            "weights": self._given.encoder.weights,
            "encoder": str(self._loaded.encoder.identity),
            "calibration": self.calibration,
            "signed_by": self._public_key.fingerprint if self._public_key else "not asked for",
        }
