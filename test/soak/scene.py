"""What the soak flies over: a small world, its gallery, and the pictures of a flight, made once."""

from __future__ import annotations

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
_BRAKING = 30  # pictures from 12 m/s to a stand: 4 m/s2, as a vehicle can


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
        """The flight there and back again: a loop of it has no jump, of place or of speed.

        The last bit of every pixel is another one each time: a camera never takes the same picture twice.
        """
        shots = list(self._site.frames(LOOP, keep=True))
        return [
            replace(shot, frame=replace(shot.frame, image=shot.frame.image ^ np.uint8(1)))
            if step % 2
            else shot
            for step, shot in enumerate(shots[number] for number in there_and_back(len(shots)))
        ]

    def _make_other_gallery(self) -> None:
        folder = self.folder / "other_world"
        folder.mkdir(exist_ok=True)
        self.other_gallery.write_bytes(make_world(folder).gallery_file.read_bytes())


def there_and_back(count: int) -> list[int]:
    """Numbers of pictures that were taken at full speed, for a flight that brakes, turns and speeds up at both ends."""
    cruise = count - 1 - _BRAKING
    speed = np.interp(
        np.arange(2 * _BRAKING + cruise + 1), np.cumsum([0, _BRAKING, cruise, _BRAKING]), [0, 1, 1, 0]
    )
    places = np.concatenate([[0.0], np.cumsum((speed[1:] + speed[:-1]) / 2.0)]).round().astype(int).tolist()
    return [*places, *places[-2:0:-1]]
