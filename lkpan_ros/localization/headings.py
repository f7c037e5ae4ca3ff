"""Under which headings a frame is looked at: the sensed one; all where there is none, or where the sensed leads nowhere.

A compass near iron, or a heading taken from the way flown while the vehicle hovers, errs by far more than is stated. Then
nothing is found however often one looks. So after a time without any place every second look is under all headings. A
place that was found so is looked at under the heading that it was found with and under the sensed one, which may be
right again; under all, once it is not followed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lkpan_ros.localization.geodesy import wrap_degrees
from lkpan_ros.localization.refinement import turns_within

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lkpan_ros.localization.belief import Belief
    from lkpan_ros.localization.config import RefinementSettings
    from lkpan_ros.localization.types import GroundView

HEADINGS = 8  # so many are tried
_ALL = tuple(360.0 / HEADINGS * k for k in range(HEADINGS))
_TRACKED_MASS = 0.9  # from this on what the track says is taken for granted
_TRACKED_TURN_DEG = 25.0
_LOST_MASS = 0.5  # elsewhere
_TRUSTED_S = 5.0  # so long a sensed heading is trusted though nothing is found


def is_tracked(belief: Belief) -> bool:
    """Whether the place is known."""
    return len(belief) > 0 and bool(belief.weight[0] > _TRACKED_MASS)


class Headings:
    """Chooses them, frame by frame."""

    def __init__(self) -> None:
        self._lost_since_s: float | None = None
        self._under_all = False  # the last look was

    def turns_deg(
        self, stamp_s: float, belief: Belief, settings: RefinementSettings, *, sensed: bool
    ) -> list[float]:
        """Turns to draw a frame under, clockwise of the sensed heading, or of north where none is sensed.

        Args:
            stamp_s: Of the frame.
            belief: Before it.
            settings: Whose `turn_reach_deg` tells how far a known heading may be off.
            sensed: Whether there is a heading.
        """
        turn_deg = float(belief.turn_deg[0]) if len(belief) else 0.0
        followed = is_tracked(belief) and belief.turn_sigma_deg[0] < _TRACKED_TURN_DEG
        if not sensed:
            return [turn_deg % 360.0] if followed else list(_ALL)
        if belief.elsewhere > _LOST_MASS:
            lost_s = 0.0 if self._lost_since_s is None else stamp_s - self._lost_since_s
            return list(_ALL) if lost_s >= _TRUSTED_S and not self._under_all else [0.0]
        if abs(turn_deg) <= settings.turn_reach_deg + settings.turn_step_deg / 2.0:
            return [0.0]
        return [turn_deg, 0.0] if followed else list(_ALL)

    def looked(self, stamp_s: float, belief: Belief, looks: int, *, sensed: bool) -> None:
        """Remember how a look ended; frames that were refused before are none.

        Args:
            stamp_s: Of the frame.
            belief: After it.
            looks: Under how many headings.
            sensed: Whether there was a heading.
        """
        if not sensed or belief.elsewhere <= _LOST_MASS:
            self._lost_since_s = None
        elif self._lost_since_s is None:
            self._lost_since_s = stamp_s
        self._under_all = sensed and looks == HEADINGS


def turns_to_try(
    views: Sequence[GroundView], belief: Belief, settings: RefinementSettings
) -> tuple[float, ...]:
    """By which the patches of a frame are turned further when they are laid on the map, degrees clockwise."""
    if len(views) == HEADINGS:
        return turns_within(180.0 / HEADINGS, settings.turn_step_deg)
    if is_tracked(belief) and len(views) == 1:
        centre_deg = float(wrap_degrees(belief.turn_deg[0] - views[0].turn_deg))
        reach_deg = 2.0 * min(float(belief.turn_sigma_deg[0]), _TRACKED_TURN_DEG)
        return turns_within(reach_deg, settings.turn_step_deg, centre_deg)
    return turns_within(settings.turn_reach_deg, settings.turn_step_deg)
