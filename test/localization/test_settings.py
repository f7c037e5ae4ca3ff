"""Settings: read by name, checked, replaced."""

from pathlib import Path

import pytest
import yaml

from lkpan_ros.errors import ConfigError
from lkpan_ros.localization.config import LocalizerConfig
from lkpan_ros.localization.settings import settings_of, with_values


def test_every_default_is_within_its_own_range() -> None:
    entries = list(settings_of(LocalizerConfig()))
    assert len({entry.name for entry in entries}) == len(entries) > 10
    for entry in entries:
        assert entry.check(entry.default) == entry.default
        assert entry.doc


def test_values_replace_defaults_by_name() -> None:
    config = with_values(LocalizerConfig(), {"gate.min_probability": 0.5, "gallery.path": "x.gallery"})
    assert (config.gate.min_probability, config.gallery.path) == (0.5, "x.gallery")
    assert config.gate.radius_m == LocalizerConfig().gate.radius_m


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("gate.min_probability", 1.5, r"gate.min_probability = 1.5: give a number within 0.0 .. 1.0"),
        ("gate.min_probability", float("nan"), "within"),
        ("gate.min_probability", "high", "give a float"),
        ("gate.min_probability", True, "give a float"),
        ("search.candidates", 1.5, "give a int"),
        ("encoder.precision", "fp8", "give one of auto, fp32, bf16, fp16"),
        ("gate.nonsense", 1.0, "there is no setting 'gate.nonsense'"),
    ],
)
def test_bad_values_are_named_with_the_remedy(name: str, value: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        with_values(LocalizerConfig(), {name: value})


def test_whole_numbers_serve_where_numbers_are_asked() -> None:
    assert with_values(LocalizerConfig(), {"gate.radius_m": 40}).gate.radius_m == 40.0


def test_the_launched_settings_are_the_defaults() -> None:
    """What `ros2 launch` loads must not be laxer than what the figures were made with."""
    text = (Path(__file__).parents[2] / "config" / "localize.yaml").read_text(encoding="utf-8")
    launched = yaml.safe_load(text)["/**"]["ros__parameters"]
    defaults = {entry.name: entry.default for entry in settings_of(LocalizerConfig())}
    shared = defaults.keys() & launched.keys()
    assert "gate.min_probability" in shared
    assert {name: launched[name] for name in shared} == {name: defaults[name] for name in shared}
