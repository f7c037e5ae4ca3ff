"""The curves of `benchmarks.search`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from benchmarks.search_data import LITE

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.measuring import Row


VIEW_AFTER_VIEW = "ours, view after view"


def case_of(dim: int, count: int) -> str:
    """The name of a case in the table."""
    return f"{dim} numbers, {count:,} tiles"


def draw(facts: list[dict[str, Any]], rows: list[Row], path: Path) -> None:
    """Latency, memory and recall over the number of tiles."""
    figure = Figure(figsize=(12.0, 3.6), layout="constrained")
    latency, memory, recall = figure.subplots(1, 3)
    for dim in sorted({fact["dim"] for fact in facts}):
        here = [fact for fact in facts if fact["dim"] == dim]
        tiles = [fact["tiles"] for fact in here]
        colour = "tab:blue" if dim == LITE else "tab:orange"
        for name, style in (("exact float32", ":"), ("exact float16", "--"), (VIEW_AFTER_VIEW, "-")):
            times = [np.median(row.values) for row in rows if row.contender == name and row.case in
                     {case_of(dim, count) for count in tiles}]  # fmt: skip
            latency.plot(
                tiles, times, style, color=colour, marker="o", label=f"{dim}-d, {name.partition(',')[0]}"
            )
        latency.plot(tiles, [fact["ms_p99"] for fact in here], " ", color=colour, marker="_", markersize=12)
        memory.plot(tiles, [fact["bytes_per_tile"] for fact in here], "-o", color=colour, label=f"{dim}-d")
        for name, style in (("recall_at_1", "--"), ("recall_at_10", "-")):
            label = f"{dim}-d, {name.replace('recall_at_', 'recall@')}"
            recall.plot(tiles, [fact[name] for fact in here], style, color=colour, marker="o", label=label)
    for axes, words in ((latency, "ms a view, median (dash: 99 %)"), (memory, "bytes of memory a tile"),
                        (recall, "recall against exact search")):  # fmt: skip
        axes.set(xscale="log", xlabel="tiles", ylabel=words)
        axes.grid(visible=True, alpha=0.3)
        axes.legend(fontsize=7)
    latency.set_yscale("log")
    memory.set_yscale("log")
    recall.set_ylim(0.9, 1.005)
    figure.savefig(path, dpi=110)
