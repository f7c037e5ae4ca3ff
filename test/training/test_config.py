from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING

import pytest

from lkpan_model.errors import ConfigError
from training import config as train_config
from training.command_line import parse_arguments
from training.config import CameraConfig, SourceConfig, TrainConfig

if TYPE_CHECKING:
    from pathlib import Path

TEXT = """
learning_rate: 1e-3
sources:
  - {kind: pairs, path: x, holdout: ['0001', "0100-0199"]}
  - {kind: overhead, path: maps/*.png, footprint_m: [50, 80]}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "train.yaml").write_text(TEXT)
    return tmp_path / "train.yaml"


def _parse(path: Path, *arguments: str) -> TrainConfig:
    return parse_arguments(["--config", str(path), *arguments])[1]


def test_file(path: Path) -> None:
    config = train_config.load(path)
    assert config.learning_rate == 0.001
    assert config.sources[0].holdout == ("0001", "0100-0199")
    assert config.sources[1].footprint_m == (50.0, 80.0)


def test_every_field_is_an_option(path: Path) -> None:
    other = {"str": "lite", "int": "3", "float": "0.5", "bool": "true"}
    choices = {
        "direction": "one_way", "schedule": "cosine", "augmentation": "paper", "precision": "fp16",
        "device": "cuda", "sources.1.kind": "pairs",
    }  # fmt: skip
    names = [(f.name, f.type) for f in fields(TrainConfig) if f.name != "sources"]
    arguments = [f"--{name}={choices.get(name, other.get(str(kind)))}" for name, kind in names]
    config = _parse(path, *arguments, "--sources.1.kind", "pairs")
    changed = {f.name for f in fields(TrainConfig) if getattr(config, f.name) != f.default}
    assert changed >= {f.name for f in fields(TrainConfig)} - {"variant"}


@pytest.mark.parametrize(
    ("arguments", "name", "value"),
    [
        (["--sources.0.share", "0.5"], "share", 0.5),
        (["--sources.0.share=0.25"], "share", 0.25),
        (["--sources.0.holdout", "0002,0300-0310"], "holdout", ("0002", "0300-0310")),
        (["--sources.0.holdout", "[]"], "holdout", ()),
        (["--sources.0.footprint_m", "[40, 90]"], "footprint_m", (40.0, 90.0)),
        (["--sources.0.quarter_turns", "true"], "quarter_turns", True),
    ],
)
def test_fields_of_sources_are_options(path: Path, arguments: list[str], name: str, value: object) -> None:
    config = _parse(path, *arguments)
    assert getattr(config.sources[0], name) == value
    assert config.sources[1] == train_config.load(path).sources[1]


def test_a_camera_is_put_together_of_options(path: Path) -> None:
    given = {"heading_deg": 10.0, "tilt_deg": 45.0, "fov_deg": 60.0, "reach": 1.5}
    config = _parse(path, *(f"--sources.1.camera.{name}={value}" for name, value in given.items()))
    assert config.sources[1].camera == CameraConfig(**given)
    with pytest.raises(ConfigError, match=r"sources.1: camera: .*'fov_deg'"):
        _parse(path, "--sources.1.camera.tilt_deg", "45")


def test_switches_need_no_value(path: Path) -> None:
    config = _parse(path, "--gradient_checkpointing", "--freeze_batch_norm", "false", "--kernel_size", "-1")
    assert (config.gradient_checkpointing, config.freeze_batch_norm, config.kernel_size) == (True, False, -1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--epoch", "3"], "unknown option --epoch: did you mean --epochs"),
        (["--epochs", "many"], "epochs must be a whole number, got 'many'"),
        (["--epochs", "2.5"], "epochs must be a whole number, got '2.5'"),
        (["--learning_rate", "fast"], "learning_rate must be a number, got 'fast'"),
        (["--learning_rate", "nan"], "learning_rate must be positive, got nan"),
        (["--gradient_checkpointing", "maybe"], "gradient_checkpointing must be true or false, got 'maybe'"),
        (["--precision", "int8"], "precision must be fp32 or bf16 or fp16, got 'int8'"),
        (["--perspective", "1.5"], "perspective must be in 0..1, got 1.5"),
        (["--chunk_size", "-1"], "chunk_size must be 0 or more, got -1"),
        (["--heads", "-2"], "heads must be -1"),
        (["--sources.2.share", "1"], "sources.2.share: sources of the config file are 0 to 1, not '2'"),
        (["--sources.x.share", "1"], "not 'x'"),
        (["--sources.0.shares", "1"], "unknown setting 'shares'; did you mean share"),
        (["--sources.0.footprint_m", "40"], "footprint_m must be 2 values"),
        (["--sources.0.share"], "--sources.0.share needs a value"),
        (["--augmentation", "paper"], "source maps/.* is overhead"),
        (["--epochs"], "epochs"),
    ],
)
def test_wrong_option_is_refused_by_name(path: Path, arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _parse(path, *arguments)


def test_config_file_is_required() -> None:
    with pytest.raises(ConfigError, match="--config"):
        parse_arguments([])


def test_saved_config_loads_as_the_same(path: Path, tmp_path: Path) -> None:
    config = replace(_parse(path, "--run_dir", "läufe: 1", "--init", "on"), learning_rate=1e-5)
    train_config.save(config, tmp_path / "saved.yaml")
    assert train_config.load(tmp_path / "saved.yaml") == config
    assert {p.name for p in tmp_path.iterdir()} == {"train.yaml", "saved.yaml"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning_rat: 1", "unknown setting 'learning_rat'; did you mean learning_rate"),
        ("epochs: 0\nsources: [{kind: pairs, path: x}]", "epochs must be positive, got 0"),
        ("epochs: true\nsources: [{kind: pairs, path: x}]", "epochs must be a whole number, got True"),
        ("epochs: 3", "sources is empty"),
        ("sources: [{kind: video, path: x}]", "video"),
        ("sources: [{kind: pairs}]", "path"),
        ("sources: [7]", "sources.0 must be a mapping of settings, got 7"),
        ("sources: {kind: pairs}", "sources must be a list"),
        (
            "sources: [{kind: pairs, path: x, camera: wide}]",
            "camera must be a mapping of settings, got 'wide'",
        ),
        (
            "sources: [{kind: pairs, path: x, holdout: [0110]}]",
            "holdout must be text, got 72: put it in quotes",
        ),
        ("- 1", "mapping of settings"),
        ("a: [", "train.yaml"),
        ("learning_rate: fast\nsources: [{kind: pairs, path: x}]", "fast"),
    ],
)
def test_wrong_file_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "train.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        train_config.load(path)


def test_shipped_recipe_is_valid(pytestconfig: pytest.Config) -> None:
    config = train_config.load(pytestconfig.rootpath / "config/train_lite.yaml")
    assert config.variant == "lite"


def test_every_field_is_documented() -> None:
    for kind in (TrainConfig, SourceConfig):
        assert kind.__doc__ is not None
        for item in fields(kind):
            assert f"        {item.name}: " in kind.__doc__, item.name
