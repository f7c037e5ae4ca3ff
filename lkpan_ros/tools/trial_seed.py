"""One seed of the simulated trials: every variant flown that its folder does not have yet."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from lkpan_model.whole_file import write_whole
from lkpan_ros.localization.calibration_file import calibrated
from lkpan_ros.localization.localizer import Localizer
from lkpan_ros.localization.outcomes import outcome_of, write_outcomes
from lkpan_ros.tools.source_hash import source_hash
from lkpan_ros.tools.trial_site import EXCURSION, LOOP, TrialSite

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from lkpan_model.encoder import Encoder
    from lkpan_model.identity import EncoderIdentity
    from lkpan_ros.localization.config import LocalizerConfig
    from lkpan_ros.localization.outcomes import FrameOutcome
    from lkpan_ros.localization.types import Frame
    from lkpan_ros.tools.trial_pictures import TrialFrame

    Teller = Callable[[TrialFrame], Frame]


@dataclass(frozen=True)
class Variant:
    """What the localizer is given of a flight.

    Attributes:
        name: Of its table.
        way: Which flight.
        teller: Makes what turns each frame into what the localizer is told, for one flight. Must be picklable.
    """

    name: str
    way: str
    teller: Callable[[], Teller]


def everything() -> Teller:
    """Tells all that the sensors say."""
    return lambda shot: shot.frame


def _all_but_the_heading() -> Teller:
    def tell(shot: TrialFrame) -> Frame:
        frame = shot.frame
        return replace(frame, attitude=replace(frame.attitude, heading_deg=None)) if frame.attitude else frame

    return tell


VARIANTS = {
    variant.name: variant
    for variant in (
        Variant("heading", LOOP, everything),
        Variant("no_heading", LOOP, _all_but_the_heading),
        Variant("excursion", EXCURSION, everything),
    )
}


@dataclass(frozen=True)
class SeedTrial:
    """What is to be flown over the world of one seed.

    Attributes:
        site: World and folder.
        variants: In this order.
        config: Of the localizer.
        keep_frames: Pictures and map are kept for another run.
    """

    site: TrialSite
    variants: tuple[Variant, ...]
    config: LocalizerConfig
    keep_frames: bool = False

    def table_path(self, variant: Variant) -> Path:
        """Where the outcomes of a variant are written."""
        return self.site.folder / f"{variant.name}.csv"

    def config_of(self, variant: Variant, encoder: EncoderIdentity) -> LocalizerConfig:
        """The settings with the calibration that counts for the variant's gallery.

        Raises:
            ConfigError: The calibration cannot be read, or is of other weights.
        """
        return calibrated(self.config, self.site.gallery_path(variant.way), encoder)

    def missing(self, encoder: EncoderIdentity) -> SeedTrial:
        """The same without the variants that were flown to the end with the same settings, weights and code."""
        left = tuple(v for v in self.variants if not self._is_flown(v, encoder))
        return replace(self, variants=left)

    def frame_count(self) -> int:
        """Frames to be rendered or read; a flight that several variants share counts once."""
        return sum(self.site.flight_settings(way).count for way in {v.way for v in self.variants})

    def fly(self, encoder: Encoder, progress: Callable[[], None]) -> None:
        """Fly every variant and write its table.

        Args:
            encoder: The localizer's.
            progress: Called after each frame; what it raises ends the flight.

        Raises:
            LkpanError: A file of the folder is damaged or cannot be written.
        """
        self.site.discard_stale()
        for way in dict.fromkeys(variant.way for variant in self.variants):
            self._fly_way(way, encoder, progress)

    def _fly_way(self, way: str, encoder: Encoder, progress: Callable[[], None]) -> None:
        """One flight, each frame of it handed to the localizer of every variant."""
        gallery = self.site.gallery(way, encoder, keep_map=self.keep_frames)
        variants = [variant for variant in self.variants if variant.way == way]
        localizers = [Localizer(gallery, encoder, self.config_of(v, encoder.identity)) for v in variants]
        tellers = [variant.teller() for variant in variants]
        outcomes: list[list[FrameOutcome]] = [[] for _ in variants]
        for shot in self.site.frames(way, keep=self.keep_frames):
            for tell, localizer, rows in zip(tellers, localizers, outcomes, strict=True):
                result = localizer.localize(tell(shot))
                rows.append(outcome_of(result, shot.vehicle, shot.view, gallery))
            progress()
        for variant, rows in zip(variants, outcomes, strict=True):
            self._write(variant, rows, encoder.identity)

    def _write(self, variant: Variant, outcomes: Sequence[FrameOutcome], encoder: EncoderIdentity) -> None:
        """The table, and then the mark of what made it: a mark never stands beside another one's table."""
        mark = self._mark_path(variant)
        mark.unlink(missing_ok=True)
        write_outcomes(self.table_path(variant), outcomes)
        write_whole(mark, json.dumps(self._facts(variant, encoder), indent=2).encode())

    def _is_flown(self, variant: Variant, encoder: EncoderIdentity) -> bool:
        try:
            mark = json.loads(self._mark_path(variant).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return bool(mark == self._facts(variant, encoder)) and self.table_path(variant).exists()

    def _mark_path(self, variant: Variant) -> Path:
        return self.site.folder / f"{variant.name}.json"

    def _facts(self, variant: Variant, encoder: EncoderIdentity) -> dict[str, object]:
        """All that the outcomes depend on, as plain JSON values."""
        facts = {
            "flight": self.site.flight_facts(variant.way),
            "told": variant.name,
            "config": asdict(self.config_of(variant, encoder)),
            "encoder": encoder.to_dict(),
            "code": source_hash("lkpan_model", "lkpan_ros.localization", "lkpan_ros.tools.deceptions"),
        }
        plain: dict[str, object] = json.loads(json.dumps(facts))
        return plain
