"""The recipes under config/ are what they say."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from training.config import TrainConfig, load
from training.run import network_config

CONFIG = Path(__file__).parents[2] / "config"


@pytest.mark.parametrize("path", sorted(CONFIG.glob("train_*.yaml")), ids=lambda path: path.stem)
def test_every_recipe_loads_and_names_a_network(path: Path) -> None:
    config = load(path)
    assert network_config(config).variant == config.variant
    assert path.stem == f"train_{config.variant}"


def test_base_is_the_papers_recipe() -> None:
    config = load(CONFIG / "train_base.yaml")
    network = network_config(config)
    assert (network.backbone, network.image_size, network.kernel_size, network.heads) == (
        "convnext_base", 384, 17, 8,
    )  # fmt: skip
    assert (config.learning_rate, config.epochs, config.label_smoothing) == (1e-4, 10, 0.1)
    assert (config.schedule, config.warmup, config.direction) == ("cosine", 0, "symmetric")
    assert config.augmentation == "paper"
    assert config.sources[0].quarter_turns


@pytest.mark.parametrize(("batch_size", "steps"), [(8, 4732), (32, 1183), (128, 296)])
def test_an_epoch_is_each_drone_image_once(batch_size: int, steps: int) -> None:
    text = (CONFIG / "train_base.yaml").read_text(encoding="utf-8")
    assert str(steps) in text
    assert steps == -(-37_854 // batch_size)


def test_the_example_for_sues200_in_the_comments_is_a_recipe(tmp_path: Path) -> None:
    text = (CONFIG / "train_base.yaml").read_text(encoding="utf-8")
    example = text.partition("# SUES-200 instead")[2].partition("#\n")[2]
    values = yaml.safe_load("\n".join(line.removeprefix("# ") for line in example.splitlines()))
    whole = yaml.safe_load(text) | values
    (tmp_path / "sues.yaml").write_text(yaml.safe_dump(whole), encoding="utf-8")
    config = load(tmp_path / "sues.yaml")
    assert isinstance(config, TrainConfig)
    assert config.sources[0].path == "SUES-200/Training/150"
    assert config.steps_per_epoch == 120 * 50 // config.batch_size
