"""What each frame of a flight showed and what it was compared with, kept small while the flight goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from lkpan_ros.localization.types import Fix, Refusal
from lkpan_ros.localization.view import ground_patch

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from lkpan_ros.localization.config import ViewSettings
    from lkpan_ros.localization.gallery import Gallery
    from lkpan_ros.localization.types import Frame, Rejection

_MATCHES = 5
_PATCH_PX, _SMALL_PATCH_PX = 160, 96
_MANY_FRAMES = (
    800  # beyond this the patches are smaller, so that the page stays one that a browser opens at once
)
_TILE_PX = 112
_WEBP_QUALITY = 60


@dataclass(frozen=True)
class ShownMatch:
    """One tile that a frame was compared with.

    Attributes:
        tile: Row of the gallery.
        similarity: Inner product of the descriptors.
    """

    tile: int
    similarity: float


@dataclass(frozen=True)
class ShownRegistration:
    """Where the refinement laid the view on the map, at its best.

    Attributes:
        position_m: East and north of the view's middle in the gallery's frame.
        quality: Of the fit, at most 1.
        turn_deg: By which the patch was turned clockwise.
        scale: Metres on the map for a metre of the patch.
    """

    position_m: tuple[float, float]
    quality: float
    turn_deg: float
    scale: float


@dataclass(frozen=True)
class Exhibit:
    """What a frame showed.

    Attributes:
        file: Name of the picture.
        patch: WebP of the ground patch as it was encoded, north-up; None where there is none because the view was
            refused.
        assumed_heading_deg: For which the patch is drawn where the heading is unknown or mistrusted, clockwise from
            north: as the fix says, else as its best tile. None: the heading is known.
        picture: WebP of the frame itself where there is no patch, or None where it could not be read.
        matches: The best tiles, best first.
        registration: The best one, or None where the frame was refused before it.
    """

    file: str
    patch: bytes | None
    assumed_heading_deg: float | None
    picture: bytes | None
    matches: tuple[ShownMatch, ...]
    registration: ShownRegistration | None


class Exhibits:
    """Collects what the frames of a flight show; every picture is compressed at once, every tile kept once.

    Args:
        gallery: That is searched.
        view: Settings of the localizer, from which it makes the patches.
        frames: How many there will be.
    """

    def __init__(self, gallery: Gallery, view: ViewSettings, frames: int) -> None:
        self.of_frames: list[Exhibit] = []
        self.tiles: dict[int, bytes] = {}
        self._gallery = gallery
        self._view = view
        self._patch_px = _SMALL_PATCH_PX if frames > _MANY_FRAMES else _PATCH_PX

    def add(self, file: Path, frame: Frame | None, result: Fix | Rejection) -> None:
        """Keep the next frame; None: its picture could not be read."""
        turn_deg = 0.0 if frame is None else _turn_deg(frame, result)
        patch = None if frame is None else self._patch(frame, turn_deg)
        picture = None if patch is not None or frame is None or frame.image.size == 0 else frame.image
        exhibit = Exhibit(
            file=str(file),
            patch=None if patch is None else webp(patch, self._patch_px),
            assumed_heading_deg=None if frame is None else _assumed_heading(frame, turn_deg),
            picture=None if picture is None else webp(picture, self._patch_px),
            matches=_best_tiles(result),
            registration=_best_registration(result),
        )
        for match in exhibit.matches:
            if match.tile not in self.tiles:
                self.tiles[match.tile] = webp(self._gallery.tile_image(match.tile), _TILE_PX)
        self.of_frames.append(exhibit)

    def _patch(self, frame: Frame, turn_deg: float) -> NDArray[np.uint8] | None:
        """Made anew: the localizer keeps none."""
        size_m, size_px = self._gallery.tile_size_m, self._gallery.tile_px
        try:
            return ground_patch(frame, size_m, size_px, self._view, turn_deg=turn_deg).patch
        except Refusal:
            return None


def webp(image: NDArray[np.uint8], longest_px: int, quality: int = _WEBP_QUALITY) -> bytes:
    """A picture, H x W x 3 uint8 RGB, as WebP of at most a size; smaller ones keep theirs."""
    height, width = image.shape[:2]
    scale = longest_px / max(height, width)
    if scale < 1.0:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".webp", bgr, [cv2.IMWRITE_WEBP_QUALITY, quality])
    return data.tobytes()


def _turn_deg(frame: Frame, result: Fix | Rejection) -> float:
    """By which the patch is drawn, clockwise of the sensed heading, or of north where none is sensed."""
    if frame.heading_deg is None and isinstance(result, Fix) and result.heading_deg is not None:
        return result.heading_deg
    return result.matches.best_turn_deg if result.matches is not None else 0.0


def _assumed_heading(frame: Frame, turn_deg: float) -> float | None:
    if frame.heading_deg is not None and turn_deg == 0.0:
        return None
    return ((frame.heading_deg or 0.0) + turn_deg) % 360.0


def _best_tiles(result: Fix | Rejection) -> tuple[ShownMatch, ...]:
    if result.matches is None:
        return ()
    rows = zip(result.matches.tile[:_MATCHES], result.matches.similarity[:_MATCHES], strict=True)
    return tuple(ShownMatch(int(tile), float(similarity)) for tile, similarity in rows)


def _best_registration(result: Fix | Rejection) -> ShownRegistration | None:
    found = result.registrations
    if found is None or len(found.quality) == 0:
        return None
    best = int(found.quality.argmax())
    east, north = found.position_m[best]
    return ShownRegistration(
        position_m=(float(east), float(north)),
        quality=float(found.quality[best]),
        turn_deg=float(found.turn_deg[best]),
        scale=float(found.scale[best]),
    )
