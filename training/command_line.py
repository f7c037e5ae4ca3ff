"""The command line of training: a config file, and every field of it as an option."""

from __future__ import annotations

from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lkpan_model.errors import ConfigError
from training.config import TrainConfig, load
from training.parser import Parser

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence


def parse_arguments(arguments: Sequence[str] | None = None) -> tuple[argparse.Namespace, TrainConfig]:
    """`--config FILE`, `--data DIR`, `--resume`, `--<field> value`, `--sources.<number>.<field> value`.

    Raises:
        ConfigError: An option is unknown or lacks its value, and as `training.config.load`.
    """
    parser = Parser(
        prog="python -m training.train",
        description="Train an LK-PAN encoder. Every field of the config file is an option, those of sources too: "
        "--sources.0.share 0.5. Their meaning: training/config.py.",
        allow_abbrev=False,
    )
    parser.add_argument("--config", type=Path, required=True, help="YAML file, e.g. config/train_lite.yaml")
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data"), help="root of the sources' paths"
    )
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in run_dir")
    for item in fields(TrainConfig):
        if item.name != "sources":
            is_flag: dict[str, Any] = {"nargs": "?", "const": "true"} if item.type == "bool" else {}
            text = f"default {item.default!r}"
            parser.add_argument(f"--{item.name}", metavar=str(item.type).upper(), help=text, **is_flag)
    namespace, rest = parser.parse_known_args(arguments)
    given = {f.name: getattr(namespace, f.name, None) for f in fields(TrainConfig)}
    overrides = {name: value for name, value in given.items() if value is not None}
    return namespace, load(namespace.config, {**overrides, **_source_options(rest)})


def _source_options(rest: Sequence[str]) -> dict[str, str]:
    """What argparse left over: `--sources.0.share 0.5` or `--sources.0.share=0.5`."""
    overrides: dict[str, str] = {}
    words = iter(rest)
    for word in words:
        name, equals, value = word.removeprefix("--").partition("=")
        if not word.startswith("--sources."):
            near = get_close_matches(name, [f.name for f in fields(TrainConfig)], 1)
            raise ConfigError(f"unknown option {word}" + (f": did you mean --{near[0]}?" if near else ""))
        overrides[name] = value if equals else next(words, "")
        if not overrides[name]:
            raise ConfigError(f"--{name} needs a value")
    return overrides
