"""Is a localizer honest? The curves that answer it, from the outcomes of a flight beside its truth.

Refused frames state no position, so every curve is over the fixes that a gate let through; a curve of the errors
that the gate prevented would need positions that were never stated.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import gammaincinv

from lkpan_ros.localization.types import Reference

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lkpan_ros.localization.outcomes import FrameOutcome

# Of stated probabilities: finer towards 1, where a gate lets fixes through.
_EDGES = (*(i / 20 for i in range(20)), 0.99, 1.0)
_Z_95 = 1.96


@dataclass(frozen=True, eq=False)
class RiskCoverage:
    """What the fixes are worth as the threshold on their stated probability falls.

    Selective risk: Geifman and El-Yaniv, "Selective Classification for Deep Neural Networks", 2017.

    Attributes:
        threshold: (N,) float64, each stated probability, falling.
        coverage: (N,) float64, share of the frames with a truth that are fixes at least that probable.
        risk: (N,) float64, share of those fixes that are false.
        error_median_m: (N,) float64, of their errors; NaN where none is known.
        area: Under risk over coverage, from 0 to the last coverage; smaller is better.
    """

    threshold: NDArray[np.float64]
    coverage: NDArray[np.float64]
    risk: NDArray[np.float64]
    error_median_m: NDArray[np.float64]
    area: float


@dataclass(frozen=True, eq=False)
class ErrorCdf:
    """Of which share of the fixes the error is how small.

    Attributes:
        of: Whose position: vehicle or view.
        error_m: (N,) float64, rising.
        share: (N,) float64, of the fixes with that error or a smaller one.
    """

    of: str
    error_m: NDArray[np.float64]
    share: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class NeesSeries:
    """Normalised estimation error squared, over its 2 degrees of freedom, of the fixes with a truth.

    Attributes:
        of: Whose position: stated (what the fix is of) or view.
        stamp_s: (N,) float64.
        nees: (N,) float64, 1 on average where the covariance is honest.
        mean: Of them.
        band: Where 95 % of such means lie if the covariance is honest and the frames' errors are independent
            (Bar-Shalom et al., "Estimation with Applications to Tracking and Navigation", 2001, section 5.4).
            A filter's errors are not quite, so a mean a little outside is no proof.
    """

    of: str
    stamp_s: NDArray[np.float64]
    nees: NDArray[np.float64]
    mean: float
    band: tuple[float, float]


@dataclass(frozen=True)
class ReliabilityBin:
    """Fixes whose stated probability lies in a range, and how many of them kept the promise.

    Attributes:
        stated: Mean of their probabilities.
        count: How many.
        kept: How many of them have their view within the radius of the truth.
        interval: 95 % interval of the probability behind kept / count (Wilson).
    """

    stated: float
    count: int
    kept: int
    interval: tuple[float, float]


@dataclass(frozen=True)
class OutcomeGroup:
    """Frames that ended the same way: the fixes of a reference, or the refusals of a reason.

    Attributes:
        name: Reference or reason.
        fix: True for fixes.
        frames: How many.
        example: What the one in the middle says in words and numbers; empty where it says nothing.
        outside: Of ground that is not in the gallery: there a refusal is the only right answer.
        found: The best tile lies within a stride of the true view, among those whose view is in the gallery.
        false_fixes: Of the fixes.
        error_median_m: Of the fixes with a truth, else None.
        error_p90_m: The same.
    """

    name: str
    fix: bool
    frames: int
    example: str
    outside: int
    found: int
    false_fixes: int
    error_median_m: float | None
    error_p90_m: float | None


def risk_coverage(outcomes: Sequence[FrameOutcome]) -> RiskCoverage:
    """The curve over the fixes with a truth and a probability; empty where there are none."""
    judged = [(o.probability, o.false_fix, _length(o.error_m)) for o in outcomes if o.false_fix is not None]
    table = np.array([row for row in judged if row[0] is not None], np.float64).reshape(-1, 3)
    probability, false, error_m = table[np.argsort(-table[:, 0], kind="stable")].T
    # Fixes of the same probability pass a threshold together.
    last = np.flatnonzero(np.append(np.diff(probability) != 0, True)[: len(table)])
    with_truth = sum(o.true_lat is not None or o.true_view_lat is not None for o in outcomes)
    coverage = (last + 1) / max(with_truth, 1)
    risk = np.cumsum(false)[last] / (last + 1)
    return RiskCoverage(
        threshold=probability[last],
        coverage=coverage,
        risk=risk,
        error_median_m=np.array([_median(error_m[: end + 1]) for end in last]),
        area=float((np.diff(coverage, prepend=0.0) * risk).sum()),
    )


def error_cdfs(outcomes: Sequence[FrameOutcome]) -> list[ErrorCdf]:
    """Of the views of all fixes, and of the fixes that state the vehicle; those with a truth."""
    fixes = [o for o in outcomes if o.fix]
    vehicle = [o.error_m for o in fixes if o.reference == Reference.VEHICLE.value]
    errors = {
        Reference.VEHICLE.value: [_length(error) for error in vehicle if error is not None],
        Reference.VIEW.value: [_length(o.view_error_m) for o in fixes if o.view_error_m is not None],
    }
    return [
        ErrorCdf(of, np.sort(known), np.arange(1, len(known) + 1) / len(known))
        for of, known in errors.items()
        if known
    ]


def nees_series(outcomes: Sequence[FrameOutcome]) -> list[NeesSeries]:
    """Of the stated positions, and of the views; where truth and covariance are known."""
    stamped = {
        "stated": [(o.stamp_s, o.nees) for o in outcomes if o.fix and o.nees is not None],
        "view": [(o.stamp_s, o.view_nees) for o in outcomes if o.fix and o.view_nees is not None],
    }
    return [_series(of, np.array(rows, np.float64)) for of, rows in stamped.items() if rows]


def nees_band(count: int, share: float = 0.95) -> tuple[float, float]:
    """Where this share of the means of `count` honest and independent NEES lies, as much below it as above."""
    tail = (1.0 - share) / 2.0
    # The quantile of a chi-square of 2n degrees of freedom is twice that of a gamma of shape n.
    return float(gammaincinv(count, tail)) / count, float(gammaincinv(count, 1.0 - tail)) / count


def reliability(outcomes: Sequence[FrameOutcome], radius_m: float) -> list[ReliabilityBin]:
    """Stated probability against what came true, over the fixes whose true view is known; bins that hold any.

    Args:
        outcomes: Of the frames. Refused ones state no position and do not count.
        radius_m: `gate.radius_m`, within which a fix promises its view to be.
    """
    pairs = [(o.probability, _kept(o, radius_m)) for o in outcomes if o.fix and o.view_error_m is not None]
    table = np.array([pair for pair in pairs if pair[0] is not None], np.float64).reshape(-1, 2)
    bins = np.clip(np.digitize(table[:, 0], _EDGES) - 1, 0, len(_EDGES) - 2)
    return [_bin(table[bins == index]) for index in np.unique(bins)]


def outcome_groups(outcomes: Sequence[FrameOutcome]) -> list[OutcomeGroup]:
    """How the frames ended: fixes by reference, then refusals by reason, the most frequent first."""
    members: dict[tuple[bool, str], list[FrameOutcome]] = defaultdict(list)
    for outcome in outcomes:
        members[outcome.fix, outcome.reference if outcome.fix else outcome.reason].append(outcome)
    ordered = sorted(members.items(), key=lambda item: (not item[0][0], -len(item[1]), item[0][1]))
    return [_group(name, fix, group) for (fix, name), group in ordered]


def _group(name: str, fix: bool, members: Sequence[FrameOutcome]) -> OutcomeGroup:  # noqa: FBT001
    errors = [_length(o.error_m) for o in members if fix and o.error_m is not None]
    return OutcomeGroup(
        name=name,
        fix=fix,
        frames=len(members),
        example=members[len(members) // 2].detail,
        outside=sum(o.in_gallery is False for o in members),
        found=sum(o.rank == 1 for o in members),
        false_fixes=sum(o.false_fix is True for o in members),
        error_median_m=float(np.percentile(errors, 50)) if errors else None,
        error_p90_m=float(np.percentile(errors, 90)) if errors else None,
    )


def _series(of: str, rows: NDArray[np.float64]) -> NeesSeries:
    stamp_s, nees = rows.T
    return NeesSeries(of, stamp_s, nees, float(nees.mean()), nees_band(len(nees)))


def _bin(rows: NDArray[np.float64]) -> ReliabilityBin:
    count, kept = len(rows), int(rows[:, 1].sum())
    return ReliabilityBin(float(rows[:, 0].mean()), count, kept, _wilson(kept, count))


def _wilson(kept: int, count: int) -> tuple[float, float]:
    """95 % interval of a proportion (Wilson, 1927)."""
    share, z2 = kept / count, _Z_95**2
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = _Z_95 * math.sqrt(share * (1 - share) / count + z2 / (4 * count**2)) / (1 + z2 / count)
    return max(0.0, middle - half), min(1.0, middle + half)


def _kept(outcome: FrameOutcome, radius_m: float) -> bool:
    """A fix of ground that is not in the gallery keeps nothing."""
    return outcome.in_gallery is not False and _length(outcome.view_error_m) <= radius_m


def _length(error: NDArray[np.float64] | None) -> float:
    return math.nan if error is None else math.hypot(*error)


def _median(errors: NDArray[np.float64]) -> float:
    known = errors[~np.isnan(errors)]
    return float(np.median(known)) if len(known) else math.nan
