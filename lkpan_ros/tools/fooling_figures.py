"""What came of deceptions: the figures of the stretch that each lasted, and the table of them all."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lkpan_ros.localization.geodesy import LocalFrame
from lkpan_ros.localization.outcomes import read_outcomes
from lkpan_ros.localization.raster import Bounds
from lkpan_ros.simulation.world import DATUM
from lkpan_ros.tools.summary_table import number
from lkpan_ros.tools.trial_figures import judge
from lkpan_ros.tools.trial_report import aligned
from lkpan_ros.tools.trial_site import EXCURSION, TILE_SIZE_M

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lkpan_ros.tools.deceptions import Deception
    from lkpan_ros.tools.trial_figures import JudgedFrame
    from lkpan_ros.tools.trial_seed import SeedTrial


@dataclass(frozen=True)
class FoolingFigures:
    """Over all frames of the stretch, of all seeds. None: no frame had what it takes to know.

    Attributes:
        frames: While it lasted.
        fixes: Of them.
        false_fixes: More than 30 m off, or of a view more than a tile outside the map.
        availability: Fixes over frames.
        false_fix_rate: False fixes over fixes.
        nees: Mean of the fixes; 1 is honest.
        refused: How often each reason was given, the most frequent first.
        regain_s: Longest time from its end to the next fix that is right; None where it lasts to the end or none came.
        false_after: False fixes after its end.
    """

    frames: int
    fixes: int
    false_fixes: int
    availability: float
    false_fix_rate: float | None
    nees: float | None
    refused: Mapping[str, int]
    regain_s: float | None
    false_after: int


def fooling_figures(deception: Deception, trials: Sequence[SeedTrial]) -> FoolingFigures:
    """Of a deception that was flown in every trial."""
    during: list[JudgedFrame] = []
    regained: list[float | None] = []
    false_after = 0
    for trial in trials:
        frames = _judged(deception, trial)
        start_s, end_s = deception.stretch(trial.site.settings.seconds)
        during += [frame for frame in frames if start_s <= frame.outcome.stamp_s < end_s]
        after = [frame for frame in frames if frame.outcome.stamp_s >= end_s]
        right = [f.outcome.stamp_s - end_s for f in after if f.outcome.fix and not f.false]
        regained.append(right[0] if right else None)
        false_after += sum(frame.false for frame in after)
    fixes = [frame for frame in during if frame.outcome.fix]
    false_fixes = sum(frame.false for frame in fixes)
    nees = [frame.outcome.nees for frame in fixes if frame.outcome.nees is not None]
    known = [seconds for seconds in regained if seconds is not None]
    return FoolingFigures(
        frames=len(during),
        fixes=len(fixes),
        false_fixes=false_fixes,
        availability=len(fixes) / max(len(during), 1),
        false_fix_rate=false_fixes / len(fixes) if fixes else None,
        nees=float(np.mean(nees)) if nees else None,
        refused=dict(Counter(f.outcome.reason for f in during if not f.outcome.fix).most_common()),
        regain_s=max(known) if len(known) == len(regained) else None,
        false_after=false_after,
    )


def _judged(deception: Deception, trial: SeedTrial) -> list[JudgedFrame]:
    half = trial.site.settings.size_m / 2
    whole = Bounds(-half, -half, half, half)
    bounds = trial.site.excursion.bounds if deception.variant.way == EXCURSION else whole
    outcomes = read_outcomes(trial.table_path(deception.variant))
    return judge(outcomes, LocalFrame(DATUM), bounds, TILE_SIZE_M)


def table(chosen: Sequence[Deception], figures: Mapping[str, FoolingFigures]) -> str:
    """A row for each way to fool."""
    lines = [["way", "frames", "fixes", "availability", "false", "NEES", "refused", "back after", "what"]]
    for deception in chosen:
        f = figures[deception.variant.name]
        refused = ", ".join(f"{reason} {count}" for reason, count in list(f.refused.items())[:3])
        lines.append(
            [
                deception.variant.name,
                f"{f.frames}",
                f"{f.fixes}",
                f"{f.availability:.1%}",
                f"{f.false_fixes}" + ("" if f.false_fix_rate is None else f" ({f.false_fix_rate:.1%})"),
                number(f.nees, "", "{:.2f}"),
                refused,
                ""
                if deception.whole
                else number(f.regain_s, " s") + (f", {f.false_after} false" * bool(f.false_after)),
                deception.what,
            ]
        )
    return aligned(lines)
