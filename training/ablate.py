"""What each part of LK-PAN is worth: the same short training with one part changed, over several seeds.

    python -m training.ablate --config config/ablation.yaml --data DATA --output runs/ablation

Each run is judged on the held-out ids of the config's first source: R@1 of whole pictures (drone to satellite), then
through the centred 3/4 window and the 40 variants of Offset-1652. OUTPUT receives a folder for each run,
`ablation.json` and `ablation.md`. Runs that are done are not repeated, one that was cut off goes on.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lkpan_model.encoder import Encoder
from lkpan_model.errors import ConfigError, ModelError
from lkpan_model.whole_file import write_whole
from training.config import load
from training.datasets import is_held_out
from training.evaluation_report import OffsetSummary
from training.evaluation_run import ONE, Settings, evaluate_direction
from training.layouts import directions_of, find_training
from training.train import keep_freed_memory, train

if TYPE_CHECKING:
    from collections.abc import Sequence

    from training.config import TrainConfig

ABLATIONS: dict[str, dict[str, Any]] = {
    "full": {},
    "kernel-7": {"kernel_size": 7},
    "no-attention": {"kernel_size": 0},
    "average-pooling": {"heads": 0},
    "one-way-loss": {"direction": "one_way"},
    "no-offset-augmentation": {"offset_augmentation": 0.0},
}


@dataclass(frozen=True)
class Figures:
    """What one run reached, each from 0 to 1.

    Attributes:
        r1: Recall at 1 of whole pictures.
        centre: Through the centred 3/4 window.
        offsets: Mean over the 40 variants of Offset-1652.
        worst: Of the 40.
        retention: offsets / centre.
    """

    r1: float
    centre: float
    offsets: float
    worst: float
    retention: float


def run_one(config: TrainConfig, root: Path) -> Figures:
    """Train, unless that is done, and judge by the held-out ids.

    Raises:
        ModelError: As `training.train.train` and `evaluate_direction`.
    """
    folder = Path(config.run_dir)
    done = folder / "figures.json"
    if done.is_file():
        return Figures(**json.loads(done.read_text(encoding="utf-8")))
    weights = folder / f"{config.variant}.safetensors"
    if not weights.is_file():
        weights = train(config, root, resume=(folder / "checkpoint.pt").is_file())
    figures = judge(weights, config, root)
    write_whole(done, json.dumps(asdict(figures)).encode())
    return figures


def judge(weights: Path, config: TrainConfig, root: Path) -> Figures:
    """Drone to satellite on the held-out ids of the first source."""
    source = config.sources[0]
    pairs = find_training(root / source.path)
    direction = directions_of(pairs.drone, pairs.satellite)[0]
    settings = Settings(
        offsets=True, rotations=1, keep=lambda name: is_held_out(name, source.holdout), workers=1,
        memory_bytes=2**30,
    )  # fmt: skip
    outcome = evaluate_direction(Encoder(weights, threads=config.threads), direction, settings)
    summary = OffsetSummary.of(outcome.offsets)
    return Figures(
        r1=outcome.whole[ONE].r1,
        centre=summary.centre.r1,
        offsets=summary.mean.r1,
        worst=outcome.offsets[summary.worst_r1].r1,
        retention=summary.retention_r1 or 0.0,
    )


def table(results: dict[str, list[Figures]]) -> str:
    """Mean over the seeds, plus or minus their standard deviation, in percent."""
    names = list(Figures.__dataclass_fields__)
    lines = ["| | seeds | " + " | ".join(names) + " |", "|---" * (len(names) + 2) + "|"]
    for name, runs in results.items():
        cells = []
        for field in names:
            values = 100 * np.array([getattr(run, field) for run in runs])
            spread = f" ± {values.std(ddof=1):.1f}" if len(values) > 1 else ""
            cells.append(f"{values.mean():.1f}{spread}")
        lines.append(f"| {name} | {len(runs)} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def ablate(base: TrainConfig, root: Path, output: Path, names: Sequence[str], seeds: Sequence[int]) -> str:
    """All runs, seed by seed, so that a part of them is already a fair comparison; returns the table."""
    if not base.sources[0].holdout:
        raise ConfigError(f"source {base.sources[0].path} holds nothing out: there is nothing to judge by")
    results: dict[str, list[Figures]] = {name: [] for name in names}
    for seed in seeds:
        for name in names:
            folder = output / f"{name}-{seed}"
            config = replace(base, seed=seed, run_dir=str(folder), **ABLATIONS[name])
            results[name].append(run_one(config, root))
            print(f"{name}, seed {seed}: {results[name][-1]}", flush=True)
            plain = {key: [asdict(run) for run in runs] for key, runs in results.items()}
            write_whole(output / "ablation.json", (json.dumps(plain, indent=1) + "\n").encode())
            write_whole(
                output / "ablation.md", table({key: runs for key, runs in results.items() if runs}).encode()
            )
    return table(results)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; exit status 2 for bad settings or data, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="python -m training.ablate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--config", type=Path, default=Path("config/ablation.yaml"), help="of the full network")
    add("--data", type=Path, default=Path("../shared/data"), help="root of the sources' paths")
    add("--output", type=Path, default=Path("runs/ablation"), help="folder of the runs and the table")
    add("--only", nargs="+", choices=tuple(ABLATIONS), default=tuple(ABLATIONS), help="these alone")
    add("--seeds", type=int, nargs="+", default=(0, 1, 2))
    options = parser.parse_args(arguments)
    try:
        keep_freed_memory()
        options.output.mkdir(parents=True, exist_ok=True)
        print(ablate(load(options.config), options.data, options.output, options.only, options.seeds))
    except (ModelError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: the same command goes on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
