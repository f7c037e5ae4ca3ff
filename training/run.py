"""What changes while training, and so what a checkpoint holds."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from lkpan_model import config as encoder_config
from lkpan_model.errors import CheckpointError, ConfigError
from lkpan_model.network import LKPAN
from lkpan_model.torch_file import read_torch_file
from lkpan_model.whole_file import whole_file
from training import stages
from training.averaging import WeightAverage
from training.loss import InfoNCE
from training.optimisation import adamw
from training.pretrained import initialise

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from training.config import TrainConfig
    from training.device import Precision

# All other settings decide what is learned: with another value the run would not be the one that was begun.
MAY_CHANGE = {"run_dir", "epochs", "device", "threads", "workers", "validate_every", "best_by"}
_PARTS = ("network", "loss", "optimizer", "average", "scaler")


@dataclass
class Run:
    """The state of a training run. Random numbers are no part of it: each step seeds its own.

    Attributes:
        network: What is trained.
        loss: With its learnable temperature.
        optimizer: AdamW; its rates follow from the step.
        average: Of the weights: what is validated and exported.
        scaler: Of float16 gradients.
        steps: Optimiser steps done.
        epochs: Epochs that are validated and logged.
        losses: Of the steps of the epoch that is under way.
        best: Highest validation score so far, and of which epoch.
        neighbours: Places most alike by the last search for hard negatives: for each source int64 P x K.
    """

    network: LKPAN
    loss: InfoNCE
    optimizer: torch.optim.AdamW
    average: WeightAverage
    scaler: torch.amp.GradScaler
    steps: int = 0
    epochs: int = 0
    losses: list[float] = field(default_factory=list)
    best: tuple[float, int] | None = None
    neighbours: list[NDArray[np.int64]] | None = None

    def save(self, path: Path, config: TrainConfig) -> None:
        """Write the checkpoint; it replaces the last one only when it is whole.

        Raises:
            CheckpointError: It cannot be written; the last one is untouched.
        """
        state: dict[str, Any] = {name: getattr(self, name).state_dict() for name in _PARTS}
        state |= {"steps": self.steps, "epochs": self.epochs, "losses": self.losses, "best": self.best}
        state["neighbours"] = self.neighbours and [torch.from_numpy(table) for table in self.neighbours]
        state["config"] = json.dumps(asdict(config))
        try:
            with whole_file(path) as file:
                torch.save(state, file)
        except (OSError, RuntimeError) as error:
            raise CheckpointError(
                f"cannot write {path} ({error}): make room, then go on with --resume"
            ) from error

    def load(self, path: Path, config: TrainConfig) -> None:
        """Go on from a checkpoint.

        Raises:
            CheckpointError: It is missing or damaged, or does not fit the network.
            ConfigError: It is of a run with other settings.
        """
        try:
            state = read_torch_file(path)
            saved = json.loads(state["config"])
        except Exception as error:
            raise CheckpointError(f"cannot resume from {path} ({error}): start without --resume") from error
        _check_same(saved, json.loads(json.dumps(asdict(config))), path)
        try:
            for name in _PARTS:
                getattr(self, name).load_state_dict(state[name])
            self.steps, self.epochs, self.losses = state["steps"], state["epochs"], list(state["losses"])
            self.best = state["best"] and tuple(state["best"])
            self.neighbours = state["neighbours"] and [table.numpy() for table in state["neighbours"]]
        except Exception as error:
            raise CheckpointError(f"cannot resume from {path} ({error}): start without --resume") from error


def start(config: TrainConfig, precision: Precision) -> Run:
    """A fresh network and all that goes with it.

    Raises:
        CheckpointError: The initial weights cannot be had, or do not fit.
        ConfigError: No such variant, or it cannot be changed like this.
    """
    torch.manual_seed(config.seed)
    network = LKPAN(network_config(config))
    initialise(network, config.init)
    network.to(precision.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    stages.freeze(network, config.frozen_stages)
    loss = InfoNCE(config.label_smoothing, symmetric=config.direction == "symmetric").to(precision.device)
    average = WeightAverage(network, config.ema_decay)
    return Run(network, loss, adamw(network, loss, config), average, precision.scaler())


def network_config(config: TrainConfig) -> encoder_config.EncoderConfig:
    """The variant with the fields that the run replaces.

    Raises:
        ConfigError: No such variant, or a field is out of its range.
    """
    replaced = {
        "image_size": config.image_size or -1,
        "kernel_size": config.kernel_size,
        "heads": config.heads,
    }
    given = {name: value for name, value in replaced.items() if value != -1}
    return encoder_config.variant(config.variant, **given)


def _check_same(saved: dict[str, Any], given: dict[str, Any], path: Path) -> None:
    for name in sorted((saved.keys() | given.keys()) - MAY_CHANGE):
        if saved.get(name) != given.get(name):
            raise ConfigError(
                f"{path} is of a run with {name} {saved.get(name)!r}, not {given.get(name)!r}: "
                "give the same settings, or start anew in another run_dir"
            )
