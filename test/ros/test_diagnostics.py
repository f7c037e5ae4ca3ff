"""What is counted of pictures."""

from __future__ import annotations

from lkpan_ros.localization.types import Reason, Rejection
from lkpan_ros.node.diagnostics import Statistics


def refuse(statistics: Statistics) -> None:
    statistics.done(Rejection(1.0, Reason.BAD_IMAGE, ""), None, 0.1)


def counted(statistics: Statistics) -> list[int]:
    return [int(statistics.values()[name]) for name in ("images", "dropped", "refused")]


def test_a_reset_between_a_picture_and_its_outcome_keeps_the_counts_together() -> None:
    statistics = Statistics()
    for dropped in (False, False, True):
        statistics.image(dropped=dropped)
    refuse(statistics)
    statistics.restart(at_work=True)
    assert counted(statistics) == [1, 0, 0]
    refuse(statistics)
    assert counted(statistics) == [1, 0, 1]


def test_an_activation_starts_from_nothing() -> None:
    statistics = Statistics()
    statistics.image(dropped=False)
    statistics.restart()
    assert counted(statistics) == [0, 0, 0]
