"""What a soak leaves: a table of faults, figures as JSON, and a picture of memory, latency and queue over time."""

from __future__ import annotations

import json
import textwrap
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np

mpl.use("Agg")  # a file is drawn, no window

from matplotlib.figure import Figure

from lkpan_model.whole_file import whole_file, write_whole

if TYPE_CHECKING:
    from pathlib import Path

    from test.soak.samples import Growth, Sample

_NAMED = 40  # more faults are told by lines alone
MOST_IN_HAND = 2  # the picture that is worked on and the one that waits


@dataclass(frozen=True)
class Row:
    """A fault that happened.

    Attributes:
        name: Of the fault.
        must: What must happen.
        seen: What did.
        passed: It is what must.
        at_s: Since the start of the soak.
        back_s: From its end to the next fix; None: none came.
        false_fixes: Until then.
    """

    name: str
    must: str
    seen: str
    passed: bool
    at_s: float
    back_s: float | None
    false_fixes: int


@dataclass(eq=False)
class Record:
    """All that was seen; times since the start.

    Attributes:
        seed: Of the schedule.
        revision: Of the code.
        minutes: It took.
        rows: Faults in their order.
        sent: Pictures.
        answered: With a fix or a refusal.
        fixes: Of them.
        false_fixes: More than 30 m off.
        half_answers: Pictures whose messages contradict one another.
        unaccounted: Pictures between the faults that got neither an answer nor a count among the dropped ones.
        growth: Of memory, descriptors and threads.
        samples: One a second.
        latency: (N, 2) when, milliseconds.
        queue: (N, 2) when, pictures in hand.
    """

    seed: int
    revision: str
    minutes: float = 0.0
    rows: list[Row] = field(default_factory=list)
    sent: int = 0
    answered: int = 0
    fixes: int = 0
    false_fixes: int = 0
    half_answers: int = 0
    unaccounted: int = 0
    growth: list[Growth] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    latency: list[tuple[float, float]] = field(default_factory=list)
    queue: list[tuple[float, int]] = field(default_factory=list)

    @property
    def most_in_hand(self) -> int:
        """The deepest that the queue was seen."""
        return max((count for _, count in self.queue), default=0)

    @property
    def failures(self) -> list[str]:
        """Why the soak has failed; empty: it has not."""
        found = [f"{row.name}: {row.seen}" for row in self.rows if not row.passed]
        found += [f"{g.name} grows by {g.slope:.2f} a minute" for g in self.growth if g.grows]
        counts = {
            "false fixes": self.false_fixes,
            "pictures with contradictory messages": self.half_answers,
            "pictures without fix, refusal or count": self.unaccounted,
            "pictures in hand": self.most_in_hand * (self.most_in_hand > MOST_IN_HAND),
            "times that more pictures were done than had come": sum(count < 0 for _, count in self.queue),
        }
        found += [f"{count} {name}" for name, count in counts.items() if count]
        return found if self.growth else [*found, "too short to tell growth from noise"]

    @property
    def latency_ms(self) -> dict[str, float]:
        """Percentiles of the time from a picture's arrival to its answer."""
        values = np.array([ms for _, ms in self.latency] or [np.nan])
        return {f"p{percent}": round(float(np.percentile(values, percent)), 1) for percent in (50, 90, 99)}


def table(record: Record) -> str:
    """A row for each fault, then the figures, then the verdict."""
    lines = []
    for row in record.rows:
        back = "never" if row.back_s is None else f"{row.back_s:.1f} s"
        false = f", {row.false_fixes} false" if row.false_fixes else ""
        lines.append(
            f"{'ok  ' if row.passed else 'FAIL'} {row.name.replace('_', ' ')}  (fix after {back}{false})"
        )
        lines += textwrap.wrap(
            f"must: {row.must}", 120, initial_indent="       ", subsequent_indent="       "
        )
        lines += textwrap.wrap(
            f"seen: {row.seen}", 120, initial_indent="       ", subsequent_indent="       "
        )
    kinds, happened = len({row.name for row in record.rows}), len(record.rows)
    head = f"{record.minutes:.1f} minutes, revision {record.revision}, seed {record.seed}"
    passed = sum(row.passed for row in record.rows)
    said = f"{record.sent} sent, {record.answered} answered, {record.fixes} fixes, {record.false_fixes} false"
    doubts = f"{record.half_answers} contradictory, {record.unaccounted} unaccounted for"
    lines += ["", f"{head}: {kinds} kinds of fault, {happened} in all, {passed} as they must"]
    lines += [f"pictures: {said}, {doubts}; at most {record.most_in_hand} in hand"]
    lines += [f"latency: {record.latency_ms} ms"]
    lines += [
        f"{g.name}: {g.first:.1f} at first, {g.last:.1f} at last, slope {g.slope:+.3f} a minute "
        f"(95 %: {g.low:+.3f} to {g.high:+.3f}) over {g.minutes:.1f} minutes of one process"
        for g in record.growth
    ]
    return "\n".join(lines)


def markdown(record: Record) -> str:
    """A row for each kind of fault, for a document: what was seen last, or first where it was not as it must."""
    lines = ["| fault | must | times | did | longest until a fix |", "|---|---|---|---|---|"]
    for name in dict.fromkeys(row.name for row in record.rows):
        rows = [row for row in record.rows if row.name == name]
        failed = [row for row in rows if not row.passed]
        told = failed[0] if failed else rows[-1]
        seen = textwrap.shorten(told.seen.replace("|", "/"), 160, placeholder=" …")
        mark = f"**{len(failed)} not as it must:** " if failed else ""
        waits = [row.back_s for row in rows if row.back_s is not None]
        back = "never" if len(waits) < len(rows) else f"{max(waits):.1f} s"
        lines.append(f"| {name.replace('_', ' ')} | {told.must} | {len(rows)} | {mark}{seen} | {back} |")
    return "\n".join(lines)


def write(record: Record, folder: Path) -> None:
    """soak.txt, soak.md, soak.json and soak.png."""
    write_whole(folder / "soak.txt", f"{table(record)}\n".encode())
    write_whole(folder / "soak.md", f"{markdown(record)}\n".encode())
    facts = {
        **asdict(record),
        "latency_ms": record.latency_ms,
        "most_in_hand": record.most_in_hand,
        "failures": record.failures,
    }
    write_whole(folder / "soak.json", json.dumps(facts).encode())
    _draw(record, folder / "soak.png")


def _draw(record: Record, path: Path) -> None:
    figure = Figure(figsize=(13, 9), layout="constrained")
    memory, latency, queue = figure.subplots(3, 1, sharex=True)
    pids = dict.fromkeys(sample.pid for sample in record.samples)
    for number, pid in enumerate(pids, 1):
        of_pid = [sample for sample in record.samples if sample.pid == pid]
        minutes = [sample.at_s / 60 for sample in of_pid]
        memory.plot(minutes, [s.memory_mb for s in of_pid], label=f"process {number}")
    memory.set(ylabel="resident memory (MB)", ylim=(0, None))
    memory.legend(loc="lower right", fontsize=9)
    times, values = (np.array(record.latency).reshape(-1, 2)[:, column] for column in (0, 1))
    latency.plot(times / 60, values, ".", markersize=2, color="#0072b2")
    latency.set(ylabel="arrival to answer (ms)", yscale="log")
    depth = np.array(record.queue).reshape(-1, 2)
    queue.step(depth[:, 0] / 60, depth[:, 1], where="post", color="#009e73")
    queue.set(
        ylabel="pictures in hand",
        xlabel="minutes",
        ylim=(-0.2, MOST_IN_HAND + 3.0),
        yticks=range(MOST_IN_HAND + 1),
    )
    for row in record.rows:
        colour = "grey" if row.passed else "#d55e00"
        for axes in (memory, latency, queue):
            axes.axvline(row.at_s / 60, color=colour, linewidth=0.5, alpha=0.6)
    named = record.rows if len(record.rows) <= _NAMED else [row for row in record.rows if not row.passed]
    for number, row in enumerate(named):
        queue.text(
            row.at_s / 60, MOST_IN_HAND + 0.3 + 0.25 * (number % 10), row.name.replace("_", " "), fontsize=5,
            color="black" if row.passed else "#d55e00",
        )  # fmt: skip
    for axes in (memory, latency, queue):
        axes.grid(alpha=0.3)
    figure.suptitle(f"soak of {record.minutes:.0f} minutes, seed {record.seed}, revision {record.revision}")
    with whole_file(path) as stream:
        figure.savefig(stream, format="png", dpi=110)
