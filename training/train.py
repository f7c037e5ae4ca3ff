"""Train an LK-PAN encoder: `python -m training.train --config config/train_lite.yaml [--field value ...]`.

Several processes: `torchrun --nproc-per-node 2 -m training.train ...` (gloo on the CPU, NCCL on CUDA).

The run folder receives `config.yaml` (the resolved settings), `checkpoint.pt` (after each epoch and at Ctrl-C;
`--resume` goes on from it), `log.jsonl` (one line an epoch: loss, rates, validation recall), `tensorboard/`,
`best.safetensors`, and at the end `<variant>.safetensors` (the last averaged weights) and `report.md`.
"""

from __future__ import annotations

import ctypes
import json
import math
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tqdm import tqdm

from lkpan_model import checkpoint
from lkpan_model.errors import ConfigError, ModelError
from training import config as train_config
from training import distributed, hard_negatives, stages
from training.batches import Batches
from training.command_line import parse_arguments
from training.datasets import exists, load_source
from training.device import Precision
from training.gradient_cache import backward
from training.interrupts import Interrupts
from training.journal import Journal
from training.optimisation import set_rates
from training.report import write_report
from training.run import network_config, start
from training.validation import encode, validate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from training.config import TrainConfig
    from training.datasets import Source
    from training.run import Run

SHOWN_PLACES = 32  # in the picture of matched pairs


class TrainingError(ModelError):
    """Training cannot go on from where it is."""


def train(config: TrainConfig, root: Path, *, resume: bool = False) -> Path:
    """The whole run; returns the exported weights' path. Ctrl-C saves a checkpoint and raises KeyboardInterrupt.

    Args:
        config: The run.
        root: What the sources' paths are relative to.
        resume: Go on from the checkpoint in the run folder.

    Raises:
        ModelError: Settings, data, device or checkpoint are not usable; the message says what to do.
    """
    folder = Path(config.run_dir)
    prepare_folder(folder, config, resume=resume)
    torch.set_num_threads(config.threads)
    with distributed.processes(config) as device, Interrupts() as interrupts:
        precision = Precision(config.precision, device)
        torch.backends.cudnn.deterministic = True
        size = network_config(config).image_size
        sources, held_out = load_sources(config, root, size)
        batches = Batches(sources, config, size, distributed.rank(), distributed.size(), device)
        run = start(config, precision)
        if resume:
            run.load(folder / "checkpoint.pt", config)
            batches.use_neighbours(run.neighbours)
        network = distributed.parallel(run.network, device)
        if config.gradient_checkpointing:
            stages.recompute_in_backward(run.network)
        if distributed.is_main():
            train_config.save(config, folder / "config.yaml")
        train_epochs(run, config, network, precision, batches, sources, held_out, interrupts)
        path = folder / f"{config.variant}.safetensors"
        if distributed.is_main():
            export(path, run, config)
            write_report(folder)
    return path


def train_epochs(
    run: Run, config: TrainConfig, network: nn.Module, precision: Precision, batches: Batches,
    sources: Sequence[Source], held_out: Sequence[Source], interrupts: Interrupts,
) -> None:  # fmt: skip
    """All epochs that are left; Ctrl-C leaves a checkpoint."""
    folder, began = Path(config.run_dir), time.monotonic()
    journal = Journal(folder if distributed.is_main() else None, run.steps)
    try:
        while run.epochs < config.epochs:
            mine_hard_negatives(run, config, sources, batches)
            train_epoch(run, config, network, precision, batches, journal, interrupts)
            figures = evaluate(run, config, sources, held_out, journal) if distributed.is_main() else {}
            with interrupts.held():
                close_epoch(run, config, figures, round(time.monotonic() - began), journal)
    except KeyboardInterrupt:
        if distributed.is_main():
            run.save(folder / "checkpoint.pt", config)
        raise
    finally:
        journal.close()


def prepare_folder(folder: Path, config: TrainConfig, *, resume: bool) -> None:
    """Make the run folder; an earlier run in it is gone on with or left alone.

    Raises:
        ConfigError: It cannot be made, or holds another run.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot make the run_dir {folder}: {error}") from error
    if not resume and (folder / "checkpoint.pt").exists():
        raise ConfigError(f"{folder} holds a run: go on with --resume, or choose another --run_dir")
    named = [source.path for source in config.sources if source.holdout]
    if config.best_by and config.best_by not in named:
        raise ConfigError(f"best_by names {config.best_by!r}; sources with a holdout are {named}")


def load_sources(config: TrainConfig, root: Path, size: int) -> tuple[list[Source], list[Source]]:
    """The sources to train on, and the held-out parts of those that have one (for the first process)."""
    training, held_out = [], []
    for source in config.sources:
        if source.optional and not exists(source, root):
            if distributed.is_main():
                print(f"source {root / source.path} is absent: training goes on without it")
            continue
        training.append(load_source(source, root, canvas_size(config, size)))
        if source.holdout and distributed.is_main():
            held_out.append(load_source(source, root, size, held_out=True))
    if not training:
        raise ConfigError(f"none of the sources exists under {root}: check --data")
    return training, held_out


def canvas_size(config: TrainConfig, size: int) -> int:
    """Side of the pictures that training draws: offset windows of the published recipe stay as sharp as the whole."""
    windowed = config.augmentation == "paper" and config.offset_augmentation > 0
    return round(size / 0.75) if windowed else size


def mine_hard_negatives(run: Run, config: TrainConfig, sources: Sequence[Source], batches: Batches) -> None:
    """Before every N-th epoch but the first: find the places that the averaged network takes for each other."""
    every = config.hard_negatives_every
    begins = run.steps == run.epochs * config.steps_per_epoch
    if not every or not begins or run.epochs == 0 or run.epochs % every:
        return
    found = None
    if distributed.is_main():
        found = hard_negatives.find(run.average.network(), sources, (config.seed, 3, run.epochs))
    run.neighbours = distributed.from_main(found)
    batches.use_neighbours(run.neighbours)


def train_epoch(
    run: Run, config: TrainConfig, network: nn.Module, precision: Precision,
    batches: Batches, journal: Journal, interrupts: Interrupts,
) -> None:  # fmt: skip
    """The rest of the current epoch. Ctrl-C takes effect between two steps."""
    stages.set_training_mode(run.network, config.frozen_stages, freeze_batch_norm=config.freeze_batch_norm)
    stop = (run.epochs + 1) * config.steps_per_epoch
    progress = tqdm(
        total=config.steps_per_epoch, initial=len(run.losses), unit="step", mininterval=5.0,
        desc=f"epoch {run.epochs + 1}/{config.epochs}", disable=not distributed.is_main(),
    )  # fmt: skip
    with progress, interrupts.held():
        for drone, satellite in batches.stream(run.steps, stop):
            figures = step(run, config, network, precision, drone, satellite)
            journal.step(run.steps, figures)
            progress.set_postfix(loss=f"{np.mean(run.losses):.3f}", refresh=False)
            progress.update()
            interrupts.check()


def step(
    run: Run, config: TrainConfig, network: nn.Module, precision: Precision, drone: Tensor, satellite: Tensor
) -> dict[str, float]:
    """One optimiser step on a batch; returns its loss, learning rate and scale of the similarities.

    Raises:
        TrainingError: Loss or gradient is not finite. The weights are as they were before.
    """
    rate = set_rates(run.optimizer, config, run.steps)
    run.optimizer.zero_grad()
    loss = backward(
        network, run.loss, *(view.to(precision.device, non_blocking=True) for view in (drone, satellite)),
        precision=precision, scaler=run.scaler, chunk_size=config.chunk_size, seed=step_seed(config, run.steps),
    )  # fmt: skip
    distributed.average_gradients(run.loss)
    run.scaler.unscale_(run.optimizer)
    norm = torch.nn.utils.clip_grad_norm_(run.network.parameters(), config.gradient_clip).item()
    if not math.isfinite(loss) or not (math.isfinite(norm) or run.scaler.is_enabled()):
        raise TrainingError(
            f"loss {loss} or gradient norm {norm} is not finite at step {run.steps}: lower learning_rate or use "
            "precision fp32; the last checkpoint is kept"
        )
    run.scaler.step(run.optimizer)
    run.scaler.update()
    run.average.update(run.network)
    run.steps += 1
    run.losses.append(loss)
    return {"loss": loss, "learning_rate": rate, "scale": run.loss.scale().item(), "gradient_norm": norm}


def step_seed(config: TrainConfig, number: int) -> int:
    """Of dropout and stochastic depth: another one for each step and process."""
    sequence = np.random.SeedSequence([config.seed, 4, number, distributed.rank()])
    return int(sequence.generate_state(1, np.uint32)[0])


def evaluate(
    run: Run, config: TrainConfig, sources: Sequence[Source], held_out: Sequence[Source], journal: Journal
) -> dict[str, dict[str, float]]:
    """Validation figures of the averaged weights by source, at the epochs that have a validation."""
    epoch = run.epochs + 1
    if epoch % (config.validate_every or max(1, config.epochs // 5)) and epoch != config.epochs:
        return {}
    network = run.average.network()
    show_pairs(
        network, next((s for s in (*held_out, *sources) if not s.same_canvas), sources[0]), epoch, journal
    )
    return {source.config.path: validate(network, source) for source in held_out}


def show_pairs(network: Any, source: Source, epoch: int, journal: Journal) -> None:
    """A picture of some places and what the network takes them for."""
    places = np.arange(min(SHOWN_PLACES, source.places))
    views = hard_negatives.plain_views(source, places, network.config.image_size, np.random.default_rng(0))
    drone, satellite = (torch.from_numpy(encode(network, view)) for view in views)
    journal.pairs(epoch, *views, drone @ satellite.T)


def close_epoch(
    run: Run, config: TrainConfig, figures: dict[str, dict[str, float]], elapsed_s: int, journal: Journal
) -> None:
    """Log the epoch, keep the weights if they are the best so far, and write the checkpoint."""
    folder, run.epochs = Path(config.run_dir), run.epochs + 1
    chosen = [figures[name]["r1"] for name in figures if config.best_by in ("", name)]
    loss, run.losses = float(np.mean(run.losses)), []
    if not distributed.is_main():
        return
    if chosen and (run.best is None or np.mean(chosen) > run.best[0]):
        run.best = float(np.mean(chosen)), run.epochs
        export(folder / "best.safetensors", run, config)
    rounded = {name: {key: round(value, 4) for key, value in part.items()} for name, part in figures.items()}
    journal.epoch({"epoch": run.epochs, "loss": loss, "elapsed_s": elapsed_s, **rounded})
    run.save(folder / "checkpoint.pt", config)


def export(path: Path, run: Run, config: TrainConfig) -> None:
    """Write the averaged weights with the recipe that made them."""
    notes = {"recipe": json.dumps(asdict(config)), "seed": str(config.seed), "epoch": str(run.epochs)}
    network = run.average.network()
    checkpoint.save(path, network, network.config, half=True, metadata=notes)


def keep_freed_memory() -> None:
    """Let glibc keep large freed blocks for the next step: mapping them anew each time halves the speed."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(-4, 0)  # M_MMAP_MAX
        libc.mallopt(-1, -1)  # M_TRIM_THRESHOLD


def main() -> int:
    """Command line; exit status 2 for bad settings or data, 130 after Ctrl-C."""
    kept = None
    try:
        keep_freed_memory()
        namespace, config = parse_arguments()
        kept = Path(config.run_dir) / "checkpoint.pt"
        path = train(config, namespace.data, resume=namespace.resume)
        if distributed.is_main():
            print(f"exported {path}")
    except ModelError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        saved = kept is not None and kept.exists()
        left = "the checkpoint is saved, go on with --resume" if saved else "nothing was trained yet"
        print(f"interrupted: {left}", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
