from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch

from lkpan_model import checkpoint
from lkpan_model.errors import CheckpointError, ConfigError, ModelError
from lkpan_model.network import LKPAN
from test.training.conftest import SMALL
from test.training.make import scene, write, write_pairs
from training import config as train_config
from training import train as trainer
from training.config import SourceConfig, TrainConfig
from training.fast_convolution import Float32ConvolutionBackward

if TYPE_CHECKING:
    from pathlib import Path

PAIRS = SourceConfig("pairs", "pairs", holdout=("0008-0011",), heading_deg=5, turned=0)


@pytest.fixture
def settings(tmp_path: Path, _small_variant: None) -> TrainConfig:
    write_pairs(tmp_path / "pairs", 12)
    write(tmp_path / "maps/a.png", scene(50, 240))
    overhead = SourceConfig("overhead", "maps/*.png", footprint_m=(60, 100), share=0.5)
    return TrainConfig(
        init="random", variant="small-lite", run_dir=str(tmp_path / "run"), epochs=2, steps_per_epoch=2, batch_size=6,
        threads=1,
        precision="fp32", sources=(PAIRS, overhead),
    )  # fmt: skip


def _log(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_a_run_exports_weights_that_load_and_logs_each_epoch(settings: TrainConfig, tmp_path: Path) -> None:
    path = trainer.train(settings, tmp_path)
    loaded = checkpoint.load(path, "small-lite")
    assert json.loads(loaded.metadata["recipe"])["batch_size"] == 6
    log = _log(tmp_path / "run")
    assert [line["epoch"] for line in log] == [1, 2]
    recall = log[-1]["pairs"]
    assert isinstance(recall, dict)
    assert 0 <= recall["r1"] <= recall["r5"] <= 1


def test_ctrl_c_leaves_a_checkpoint_and_resuming_equals_a_run_never_cut(
    settings: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = checkpoint.load(trainer.train(settings, tmp_path)).state
    cut = replace(settings, run_dir=str(tmp_path / "cut"))
    real_step, steps = trainer.step, []

    def interrupted(*arguments: object) -> float:
        steps.append(1)
        if len(steps) == 4:  # amid the second epoch
            raise KeyboardInterrupt
        return real_step(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            trainer.train(cut, tmp_path)
    assert not (tmp_path / "cut/small-lite.safetensors").exists()
    resumed = checkpoint.load(trainer.train(cut, tmp_path, resume=True)).state
    assert [line["epoch"] for line in _log(tmp_path / "cut")] == [1, 2]
    for name, tensor in whole.items():
        assert torch.allclose(tensor, resumed[name], rtol=1e-2, atol=1e-3), name


def test_training_lowers_the_loss(settings: TrainConfig, tmp_path: Path) -> None:
    easy = replace(PAIRS, holdout=())
    config = replace(settings, epochs=2, steps_per_epoch=12, learning_rate=3e-3, sources=(easy,))
    trainer.train(config, tmp_path)
    losses = [line["loss"] for line in _log(tmp_path / "run")]
    assert losses[1] < losses[0] - 0.3  # type: ignore[operator]


def test_resume_without_or_with_a_broken_checkpoint(settings: TrainConfig, tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(CheckpointError, match=r"checkpoint.pt .*start without --resume"):
            trainer.train(settings, tmp_path, resume=True)
        (tmp_path / "run/checkpoint.pt").write_bytes(b"broken")


def test_absent_optional_source_is_told_and_left_out(
    settings: TrainConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = SourceConfig("pairs", "simulated", optional=True)
    config = replace(settings, sources=(*settings.sources, absent))
    training, held_out = trainer.load_sources(config, tmp_path, 64)
    assert (len(training), len(held_out)) == (2, 1)
    assert "simulated is absent" in capsys.readouterr().out


def test_absent_source_that_is_not_optional_is_an_error(settings: TrainConfig, tmp_path: Path) -> None:
    config = replace(settings, sources=(SourceConfig("pairs", "nowhere"),))
    with pytest.raises(ModelError, match="nowhere"):
        trainer.load_sources(config, tmp_path, 64)


def test_float32_backward_gives_the_gradients_of_plain_convolution() -> None:
    network = LKPAN(SMALL).train()
    images = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    target = torch.randn(4, network.config.descriptor_dim, generator=torch.Generator().manual_seed(1))
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    gradients = []
    for fast in (False, True):
        network.load_state_dict(state)
        network.zero_grad()
        if fast:
            with Float32ConvolutionBackward():
                output = network(images)
        else:
            output = network(images)
        (output * target).sum().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None]))
    assert torch.nn.functional.cosine_similarity(gradients[0], gradients[1], dim=0) > 0.9999


def test_config_file_and_overrides(tmp_path: Path) -> None:
    path = tmp_path / "train.yaml"
    path.write_text("learning_rate: 1e-3\nsources:\n  - {kind: pairs, path: x, holdout: ['0001']}\n")
    arguments = ["--config", str(path), "--epochs", "7", "--resume"]
    namespace, config = train_config.parse_arguments(arguments)
    assert (config.learning_rate, config.epochs, config.sources[0].holdout) == (0.001, 7, ("0001",))
    assert namespace.resume


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning_rat: 1", "learning_rat"),
        ("epochs: 0\nsources: [{kind: pairs, path: x}]", "epochs must be positive, got 0"),
        ("epochs: 3", "sources is empty"),
        ("sources: [{kind: video, path: x}]", "video"),
        ("sources: [7]", "must be a mapping, got 7"),
        ("- 1", "mapping of settings"),
        ("a: [", "train.yaml"),
        ("learning_rate: fast\nsources: [{kind: pairs, path: x}]", "fast"),
    ],
)
def test_wrong_config_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "train.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        train_config.load(path)


def test_shipped_recipe_is_valid(pytestconfig: pytest.Config) -> None:
    config = train_config.load(pytestconfig.rootpath / "config/train_lite.yaml")
    assert config.variant == "lite"
