"""Train an LK-PAN encoder: `python -m training.train --config config/train_lite.yaml [--field value ...]`.

The run folder receives `checkpoint.pt` (after each epoch and at Ctrl-C; `--resume` goes on from it), `log.jsonl`
(one line an epoch: loss, rates, validation recall) and at the end `<variant>.safetensors` (float16).
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.optim.lr_scheduler import OneCycleLR
from tqdm import tqdm

from lkpan_model import checkpoint
from lkpan_model.config import variant
from lkpan_model.errors import CheckpointError, ConfigError, ModelError
from lkpan_model.network import LKPAN
from lkpan_model.preprocess import normalise
from training import config as train_config
from training.averaging import WeightAverage
from training.batches import Batches
from training.datasets import exists, load_source
from training.fast_convolution import Float32ConvolutionBackward
from training.loss import SymmetricInfoNCE
from training.pretrained import imagenet_lite0
from training.validation import validate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from training.config import TrainConfig
    from training.datasets import Source


@dataclass
class Run:
    """All that changes while training, and so all that a checkpoint holds."""

    network: LKPAN
    loss: SymmetricInfoNCE
    optimizer: torch.optim.AdamW
    schedule: OneCycleLR
    average: WeightAverage
    steps: int = 0

    def save(self, path: Path, config: TrainConfig) -> None:
        """Write the checkpoint; it replaces the last one only when it is whole."""
        parts = {name: getattr(self, name).state_dict() for name in self._parts()}
        temporary = path.with_suffix(".tmp")
        with temporary.open("wb") as file:
            torch.save({**parts, "steps": self.steps, "config": json.dumps(asdict(config))}, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint.

        Raises:
            CheckpointError: It is missing, damaged or of another configuration.
        """
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            for name in self._parts():
                getattr(self, name).load_state_dict(state[name])
            self.steps = int(state["steps"])
        except Exception as error:
            raise CheckpointError(f"cannot resume from {path} ({error}): start without --resume") from error

    @staticmethod
    def _parts() -> tuple[str, ...]:
        return "network", "loss", "optimizer", "schedule", "average"


def start(config: TrainConfig) -> Run:
    """A fresh network, its optimiser and schedule."""
    torch.manual_seed(config.seed)
    network = LKPAN(variant(config.variant))
    if config.init == "imagenet":
        imagenet_lite0(network)
    elif config.init != "random":
        network.load_state_dict(
            checkpoint.load(checkpoint.resolve_weights(config.init), config.variant).state
        )
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    loss = SymmetricInfoNCE(config.label_smoothing)
    parameters = list(network.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [*(p for p in parameters if p.ndim <= 1), *loss.parameters()], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=config.learning_rate)
    steps = config.epochs * config.steps_per_epoch + 2  # either phase of OneCycleLR needs a step of its own
    schedule = OneCycleLR(optimizer, config.learning_rate, steps, pct_start=max(config.warmup, 2 / steps))
    return Run(network, loss, optimizer, schedule, WeightAverage(network, config.ema_decay))


def load_sources(config: TrainConfig, root: Path, size: int) -> tuple[list[Source], list[Source]]:
    """The sources to train on, and the held-out parts of those that have one."""
    training, held_out = [], []
    for source in config.sources:
        if source.optional and not exists(source, root):
            print(f"source {root / source.path} is absent: training goes on without it")
            continue
        training.append(load_source(source, root, size))
        if source.holdout:
            held_out.append(load_source(source, root, size, held_out=True))
    if not training:
        raise ConfigError(f"none of the sources exists under {root}: check --data")
    return training, held_out


def step(run: Run, config: TrainConfig, drone: Tensor, satellite: Tensor) -> float:
    """One optimiser step on a batch; returns the loss."""
    images = normalise(torch.cat([drone, satellite])).contiguous(
        memory_format=torch.channels_last
    )  # 2B x 3 x S x S
    half = torch.autocast("cpu", torch.bfloat16) if config.precision == "bf16" else nullcontext()
    with half, Float32ConvolutionBackward():
        descriptors = run.network(images)  # 2B x D
    loss: Tensor = run.loss(*descriptors.chunk(2))
    run.optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(run.network.parameters(), config.gradient_clip)
    run.optimizer.step()
    run.schedule.step()
    run.average.update(run.network)
    run.steps += 1
    return loss.item()


def train_epoch(run: Run, config: TrainConfig, batches: Batches) -> float:
    """The rest of the current epoch; returns the mean loss."""
    run.network.train()
    epoch, done = divmod(run.steps, config.steps_per_epoch)
    title, losses = f"epoch {epoch + 1}/{config.epochs}", []
    with tqdm(
        total=config.steps_per_epoch, initial=done, desc=title, unit="step", mininterval=5.0
    ) as progress:
        for index in range(run.steps, (epoch + 1) * config.steps_per_epoch):
            losses.append(step(run, config, *batches.draw(index)))
            progress.set_postfix(loss=f"{np.mean(losses):.3f}", refresh=False)
            progress.update()
    return float(np.mean(losses))


def train(config: TrainConfig, root: Path, *, resume: bool = False) -> Path:
    """The whole run; returns the exported weights' path. Ctrl-C saves a checkpoint and raises KeyboardInterrupt."""
    folder = Path(config.run_dir)
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(config.threads)
    size = variant(config.variant).image_size
    training, held_out = load_sources(config, root, size)
    batches = Batches(training, config, size)
    run = start(config)
    if resume:
        run.load(folder / "checkpoint.pt")
    began = time.monotonic()
    while run.steps < config.epochs * config.steps_per_epoch:
        try:
            loss = train_epoch(run, config, batches)
        finally:  # after an epoch, and at Ctrl-C
            run.save(folder / "checkpoint.pt", config)
        epoch = run.steps // config.steps_per_epoch
        line = {"epoch": epoch, "loss": round(loss, 4), "elapsed_s": round(time.monotonic() - began)}
        record(folder / "log.jsonl", {**line, **evaluate(run, config, held_out)})
    path = folder / f"{config.variant}.safetensors"
    notes = {"recipe": json.dumps(asdict(config)), "seed": str(config.seed)}
    checkpoint.save(path, run.average.network(), variant(config.variant), half=True, metadata=notes)
    return path


def evaluate(run: Run, config: TrainConfig, held_out: Sequence[Source]) -> dict[str, Any]:
    """Validation figures of the averaged weights: every fifth of the run, and at its end."""
    epoch = run.steps // config.steps_per_epoch
    if epoch % max(1, config.epochs // 5) and epoch != config.epochs:
        return {}
    network = run.average.network()
    return {
        source.config.path: {name: round(value, 4) for name, value in validate(network, source).items()}
        for source in held_out
    }


def record(path: Path, line: dict[str, Any]) -> None:
    """Append one line of JSON, and show it."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    print(json.dumps(line), flush=True)


def keep_freed_memory() -> None:
    """Let glibc keep large freed blocks for the next step: mapping them anew each time halves the speed."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(-4, 0)  # M_MMAP_MAX
        libc.mallopt(-1, -1)  # M_TRIM_THRESHOLD


def main() -> int:
    """Command line; exit status 2 for bad settings or data, 130 after Ctrl-C."""
    try:
        keep_freed_memory()
        namespace, config = train_config.parse_arguments()
        print(f"exported {train(config, namespace.data, resume=namespace.resume)}")
    except ModelError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: the checkpoint is saved, go on with --resume", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
