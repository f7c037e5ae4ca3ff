"""The variants, and what a config refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lkpan_model.config import VARIANTS, EncoderConfig, variant
from lkpan_model.errors import ConfigError


@pytest.mark.parametrize(
    ("name", "cells", "hidden", "descriptor_dim"),
    [("base", 144, 72, 8192), ("small", 144, 72, 6144), ("tiny", 144, 72, 6144), ("lite", 36, 18, 2560)],
)
def test_variant_sizes(name: str, cells: int, hidden: int, descriptor_dim: int) -> None:
    config = variant(name)
    assert (config.cells, config.hidden_cells, config.descriptor_dim) == (cells, hidden, descriptor_dim)


@pytest.mark.parametrize("name", VARIANTS)
def test_config_survives_json(name: str) -> None:
    config = variant(name, drop_path=0.25)
    assert EncoderConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_unknown_variant_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"'huge'.*base, small, tiny, lite"):
        variant("huge")


def test_unknown_override_is_refused() -> None:
    with pytest.raises(ConfigError, match="num_heads"):
        variant("lite", num_heads=4)


def test_from_dict_is_strict() -> None:
    values = variant("lite").to_dict()
    with pytest.raises(ConfigError, match=r"unknown.*colour"):
        EncoderConfig.from_dict({**values, "colour": "red"})
    del values["heads"]
    with pytest.raises(ConfigError, match=r"lacks.*heads"):
        EncoderConfig.from_dict(values)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("image_size", 100),
        ("image_size", 1 << 40),
        ("image_size", True),
        ("image_size", 128.0),
        ("kernel_size", 16),
        ("heads", -1),
        ("drop_path", 1.0),
        ("drop_path", float("nan")),
        ("drop_path", "0.1"),
        ("channel_reduction", 64.5),
        ("variant", ""),
        ("backbone", "hf-hub:someone/something"),
        ("backbone", None),
    ],
)
def test_bad_value_is_named(field: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=field):
        variant("lite", **{field: value})
