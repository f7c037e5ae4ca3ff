"""The report of a training run: `python -m training.report RUN_DIR` writes report.md and curves.png into it.

It needs what the run has left so far (config.yaml, log.jsonl, starts.jsonl), so it serves a half finished run too.
"""

from __future__ import annotations

import argparse
import io
import itertools
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from matplotlib.figure import Figure

from lkpan_model.errors import ModelError
from training.environment import UNKNOWN
from training.journal import LOG, PAIRS, STARTS, read_lines, replace

CONFIG, REPORT, CURVES = "config.yaml", "report.md", "curves.png"
SCALARS = {"loss": "loss", "learning_rate": "learning rate", "scale": "temperature scale, exp(t)"}
SHOWN = (
    ("revision", "git revision"), ("tree", "working tree"), ("started", "started"), ("python", "Python"),
    ("torch", "torch"), ("torchvision", "torchvision"), ("timm", "timm"), ("numpy", "numpy"), ("cpu", "CPU"),
    ("cores", "CPU cores"), ("gpu", "GPU"),
)  # fmt: skip


class ReportError(ModelError):
    """There is no run to report on, or its config is damaged."""


@dataclass(frozen=True)
class RunRecord:
    """What a run folder tells.

    Attributes:
        folder: The run folder.
        config: The resolved settings; empty if they are not there.
        epochs: A line for each epoch that is complete, in order.
        starts: A line for each time the run was started or resumed.
    """

    folder: Path
    config: dict[str, Any]
    epochs: tuple[dict[str, Any], ...]
    starts: tuple[dict[str, Any], ...]

    def curve(self, *names: str) -> tuple[list[int], list[float]]:
        """Epochs and values of a number in the log, at `line[name]` or `line[source][name]`."""
        points = []
        for line in self.epochs:
            value: Any = line
            for name in names:
                value = value.get(name) if isinstance(value, dict) else None
            if isinstance(value, int | float):
                points.append((int(line["epoch"]), float(value)))
        return [epoch for epoch, _ in points], [value for _, value in points]

    @property
    def figures(self) -> dict[str, list[str]]:
        """For each held-out source the names of its figures, in the order of the log."""
        found: dict[str, dict[str, None]] = {}
        for line in self.epochs:
            for source, figures in line.items():
                if isinstance(figures, dict):
                    found.setdefault(source, {}).update(dict.fromkeys(figures))
        return {source: list(names) for source, names in found.items()}

    @property
    def duration_s(self) -> float:
        """Time spent on the epochs: `elapsed_s` starts again from zero each time the run is resumed."""
        elapsed = self.curve("elapsed_s")[1]
        ends = [a for a, b in itertools.pairwise(elapsed) if b < a]
        return sum(ends) + (elapsed[-1] if elapsed else 0.0)


def read_run(folder: Path) -> RunRecord:
    """Everything that a run folder holds for a report.

    Raises:
        ReportError: It is no run folder, or its config is not YAML.
    """
    if not (folder / CONFIG).exists() and not (folder / LOG).exists():
        raise ReportError(f"{folder} is no run folder: it holds neither {CONFIG} nor {LOG}")
    config: Any = {}
    if (folder / CONFIG).exists():
        try:
            config = yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ReportError(f"cannot read {folder / CONFIG}: {error}") from error
    if not isinstance(config, dict):
        raise ReportError(f"{folder / CONFIG} must hold a mapping of settings, got {type(config).__name__}")
    epochs = tuple(line for line, _ in read_lines(folder / LOG) if isinstance(line.get("epoch"), int))
    return RunRecord(folder, config, epochs, tuple(line for line, _ in read_lines(folder / STARTS)))


def write_report(run_dir: Path) -> Path:
    """Write report.md and, once an epoch is complete, curves.png beside it.

    Args:
        run_dir: A run folder, finished or not.

    Returns:
        The path of report.md.

    Raises:
        ReportError: As `read_run`.
        JournalError: A file cannot be read or written.
    """
    run = read_run(run_dir)
    parts = [
        f"# Training run {run_dir.resolve().name}",
        status(run),
        "## Figures on held-out places",
        table(run),
    ]
    if run.epochs:
        replace(run_dir / CURVES, draw_curves(run))
        parts += ["## Curves", f"![curves]({CURVES})"]
    if (run_dir / PAIRS).exists():
        parts += ["## Matched pairs of the last validation", f"![pairs]({PAIRS})"]
    parts += ["## To repeat it", f"```\n{command(run)}\n```", provenance(run)]
    parts += ["## Settings", f"```yaml\n{yaml.safe_dump(run.config, sort_keys=False).strip()}\n```"]
    replace(run_dir / REPORT, ("\n\n".join(parts) + "\n").encode())
    return run_dir / REPORT


def status(run: RunRecord) -> str:
    """How far the run came, in how long."""
    planned = run.config.get("epochs", UNKNOWN)
    done = run.epochs[-1]["epoch"] if run.epochs else 0
    state = "Finished" if done == planned else "**Not finished**"
    hours, minutes = divmod(round(run.duration_s / 60), 60)
    times = len(run.starts) - 1
    resumed = f", resumed {times} time{'s' * (times > 1)}" if times > 0 else ""
    return f"{state}: {done} of {planned} epochs are complete, in {hours} h {minutes:02} min{resumed}."


def table(run: RunRecord) -> str:
    """Markdown: for each figure its last and its highest value."""
    if not run.figures:
        return "None yet: no validation is complete."
    rows = ["| source | figure | last | at epoch | best | at epoch |", "|---|---|--:|--:|--:|--:|"]
    for source, names in run.figures.items():
        for name in names:
            epochs, values = run.curve(source, name)
            if values:
                best = values.index(max(values))
                rows.append(
                    f"| `{source}` | {name} | {values[-1]:.4g} | {epochs[-1]} | {values[best]:.4g} | {epochs[best]} |"
                )
    return "\n".join(rows)


def command(run: RunRecord) -> str:
    """The shell command that starts the same run again."""
    known = run.starts[0].get("command", UNKNOWN) if run.starts else UNKNOWN
    config = shlex.quote(str(run.folder / CONFIG))
    return str(known) if known != UNKNOWN else f"python -m training.train --config {config} --data DATA"


def provenance(run: RunRecord) -> str:
    """Markdown: code, versions and machine of each start."""
    starts = run.starts or ({},)
    rows = ["| | " + " | ".join(f"from step {start.get('step', UNKNOWN)}" for start in starts) + " |"]
    rows.append("|---" * (len(starts) + 1) + "|")
    for key, title in SHOWN:
        rows.append(f"| {title} | " + " | ".join(str(start.get(key, UNKNOWN)) for start in starts) + " |")
    return "\n".join(rows)


def draw_curves(run: RunRecord) -> bytes:
    """PNG: loss, learning rate and temperature scale, then a panel for each held-out source."""
    scalars = [name for name in SCALARS if run.curve(name)[0]]
    panels: list[tuple[str, list[tuple[str, ...]]]] = [(SCALARS[name], [(name,)]) for name in scalars]
    panels += [(source, [(source, name) for name in names]) for source, names in run.figures.items()]
    rows = max(1, -(-len(panels) // 3))
    figure = Figure(figsize=(15, 3.6 * rows), layout="constrained")
    axes = figure.subplots(rows, 3, squeeze=False).ravel()
    for axis in axes:
        axis.set_visible(False)
    for axis, (title, curves) in zip(axes, panels, strict=False):
        axis.set_visible(True)
        for names in curves:
            axis.plot(*run.curve(*names), marker="o", markersize=3, linewidth=1.2, label=names[-1])
        axis.set(title=title, xlabel="epoch")
        axis.grid(alpha=0.3)
        if len(curves) > 1:
            axis.legend(fontsize="small")
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=110)
    return content.getvalue()


def main() -> int:
    """Command line; exit status 2 where there is nothing to report on."""
    parser = argparse.ArgumentParser(
        prog="python -m training.report", description="Report on a training run."
    )
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="folder of the run")
    try:
        print(write_report(parser.parse_args().run_dir))
    except ModelError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
