"""What the soak flies over: a small world, its gallery, and the pictures of a flight, made once."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lkpan_model.encoder import Encoder
from lkpan_ros.tools.trial_site import LOOP, TrialSettings, TrialSite
from test.ros.world import make_world

if TYPE_CHECKING:
    from pathlib import Path

    from lkpan_ros.tools.trial_pictures import TrialFrame

RATE_HZ = 10.0
_SETTINGS = TrialSettings(seconds=30.0, rate_hz=RATE_HZ, size_m=700.0, excursion_m=100.0)
_SEED = 2026


@dataclass(frozen=True)
class Scene:
    """Files in a folder.

    Attributes:
        folder: Where everything is kept.
    """

    folder: Path

    @property
    def gallery(self) -> Path:
        """The good one, which the localizer is started with; faults put others in its place."""
        return self.folder / "soak.gallery"

    @property
    def other_gallery(self) -> Path:
        """One of another encoder."""
        return self.folder / "other.gallery"

    @property
    def _site(self) -> TrialSite:
        return TrialSite(self.folder / "world", _SEED, _SETTINGS)

    def make(self) -> None:
        """Make what is not there yet."""
        self.folder.mkdir(parents=True, exist_ok=True)
        site, encoder = self._site, Encoder("lite")
        site.discard_stale()
        site.gallery(LOOP, encoder, keep_map=True).save(self.gallery)
        for _ in site.frames(LOOP, keep=True):
            pass
        if not self.other_gallery.exists():
            self._make_other_gallery()

    def frames(self) -> list[TrialFrame]:
        """The flight there and back again: a loop of it has no jump.

        On the way back the last bit of every pixel is another one: a camera never takes the same picture twice.
        """
        there = list(self._site.frames(LOOP, keep=True))
        back = itertools.islice(reversed(there), 1, len(there) - 1)
        return [
            *there,
            *(
                replace(shot, frame=replace(shot.frame, image=shot.frame.image ^ np.uint8(1)))
                for shot in back
            ),
        ]

    def _make_other_gallery(self) -> None:
        folder = self.folder / "other_world"
        folder.mkdir(exist_ok=True)
        self.other_gallery.write_bytes(make_world(folder).gallery_file.read_bytes())
