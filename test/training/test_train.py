from __future__ import annotations

import json
import signal
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from lkpan_model import checkpoint
from lkpan_model.config import VARIANTS
from lkpan_model.errors import CheckpointError, ConfigError, ModelError
from test.training.conftest import SMALL
from test.training.make import scene, write, write_pairs
from training import config as train_config
from training import train as trainer
from training.config import SourceConfig, TrainConfig
from training.optimisation import set_rates

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

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


@pytest.fixture(autouse=True)
def _no_report(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing curves takes longer than these runs; one test wants them."""
    if "with_report" not in request.fixturenames:
        monkeypatch.setattr(trainer, "write_report", lambda folder: folder)


@pytest.fixture
def with_report() -> None:
    """Leave the report in."""


def _log(config: TrainConfig, folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / config.run_dir / "log.jsonl").read_text().splitlines()]


def _interrupt_at(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """A signal arrives just before this step (from 1) is taken."""
    real_step, steps = trainer.step, []

    def step(*arguments: object) -> dict[str, float]:
        steps.append(1)
        if len(steps) == number:
            signal.raise_signal(signal.SIGINT)
        return real_step(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(trainer, "step", step)


def _train_cut(config: TrainConfig, root: Path, number: int) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        _interrupt_at(patch, number)
        with pytest.raises(KeyboardInterrupt):
            trainer.train(config, root)
    return trainer.train(config, root, resume=True)


@pytest.mark.usefixtures("with_report")
def test_a_run_leaves_all_that_is_needed_to_use_and_to_repeat_it(
    settings: TrainConfig, tmp_path: Path
) -> None:
    path = trainer.train(settings, tmp_path)
    folder = tmp_path / "run"
    loaded = checkpoint.load(path, "small-lite")
    assert json.loads(loaded.metadata["recipe"])["batch_size"] == 6
    assert train_config.load(folder / "config.yaml") == settings
    log = _log(settings, tmp_path)
    assert [line["epoch"] for line in log] == [1, 2]
    recall = log[-1]["pairs"]
    assert isinstance(recall, dict)
    assert 0 <= recall["r1"] <= recall["r5"] <= 1
    names = {item.name for item in folder.iterdir()}
    assert names >= {"checkpoint.pt", "best.safetensors", "small-lite.safetensors", "report.md", "curves.png"}
    assert not [name for name in names if name.endswith((".part", ".tmp"))]


def _state(path: Path) -> dict[str, Tensor]:
    state: dict[str, Tensor] = torch.load(path.parent / "checkpoint.pt", weights_only=True)["network"]
    return state


@pytest.mark.parametrize(
    ("cut", "changes"),  # cut at the end of the second epoch, or amid the third
    [
        (4, {}),
        (5, {}),
        (4, {"hard_negatives_every": 1, "workers": 0}),
        (5, {"hard_negatives_every": 2}),
        (5, {"chunk_size": 2, "gradient_checkpointing": True, "schedule": "cosine", "ema_decay": 0.0}),
        (
            5,
            {
                "augmentation": "paper",
                "direction": "one_way",
                "backbone_learning_rate": 0.1,
                "frozen_stages": 1,
            },
        ),
    ],
)
def test_resuming_repeats_the_run_that_was_not_cut_bit_for_bit(
    settings: TrainConfig,
    tmp_path: Path,
    changes: dict[str, object],
    cut: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(VARIANTS, "small-lite", replace(SMALL, drop_path=0.3))
    sources = (PAIRS,) if "augmentation" in changes else settings.sources
    config = replace(settings, epochs=4, validate_every=2, sources=sources, **changes)  # type: ignore[arg-type]
    whole = trainer.train(config, tmp_path)
    again = replace(config, run_dir=str(tmp_path / "cut"))
    resumed = _train_cut(again, tmp_path, cut)
    losses = [[(line["epoch"], line["loss"]) for line in _log(c, tmp_path)] for c in (config, again)]
    assert losses[0] == losses[1]
    assert len(losses[0]) == 4
    expected, found = _state(whole), _state(resumed)
    assert all(torch.equal(tensor, found[name]) for name, tensor in expected.items())
    assert all(
        torch.equal(t, checkpoint.load(resumed).state[n]) for n, t in checkpoint.load(whole).state.items()
    )


def test_ctrl_c_ends_the_step_first_and_leaves_no_weights(
    settings: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _interrupt_at(monkeypatch, 3)
    with pytest.raises(KeyboardInterrupt):
        trainer.train(settings, tmp_path)
    state = torch.load(tmp_path / "run/checkpoint.pt", weights_only=True)
    assert (state["steps"], state["epochs"], len(state["losses"])) == (3, 1, 1)
    assert not (tmp_path / "run/small-lite.safetensors").exists()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_in_a_validation_repeats_that_validation(
    settings: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(trainer, "validate", lambda *_: signal.raise_signal(signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            trainer.train(settings, tmp_path)
    assert not (tmp_path / "run/log.jsonl").exists()
    trainer.train(settings, tmp_path, resume=True)
    log = _log(settings, tmp_path)
    assert [line["epoch"] for line in log] == [1, 2]
    assert all("pairs" in line for line in log)


def test_a_finished_run_can_go_on_for_more_epochs(settings: TrainConfig, tmp_path: Path) -> None:
    trainer.train(settings, tmp_path)
    trainer.train(replace(settings, epochs=3, threads=1, workers=0), tmp_path, resume=True)
    assert [line["epoch"] for line in _log(settings, tmp_path)] == [1, 2, 3]


def test_a_run_is_neither_overwritten_nor_continued_with_other_settings(
    settings: TrainConfig, tmp_path: Path
) -> None:
    trainer.train(settings, tmp_path)
    with pytest.raises(
        ConfigError, match=r"run holds a run: go on with --resume, or choose another --run_dir"
    ):
        trainer.train(settings, tmp_path)
    with pytest.raises(ConfigError, match="batch_size 6, not 5"):
        trainer.train(replace(settings, batch_size=5), tmp_path, resume=True)


def test_best_weights_are_those_of_the_best_epoch_by_the_chosen_source(
    settings: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "maps/b.png", scene(51, 240))
    held = replace(settings.sources[1], holdout=("b",))
    scores = {"pairs": iter([0.2, 0.9, 0.3, 0.9]), "maps/*.png": iter([0.5, 0.1, 0.6, 0.6])}
    monkeypatch.setattr(trainer, "validate", lambda _, source: {"r1": next(scores[source.config.path])})
    config = replace(settings, epochs=4, sources=(PAIRS, held), validate_every=1, best_by="maps/*.png")
    path = trainer.train(config, tmp_path)
    best = checkpoint.load(path.parent / "best.safetensors")
    assert best.metadata["epoch"] == "3"
    assert checkpoint.load(path).metadata["epoch"] == "4"
    with pytest.raises(ConfigError, match=r"best_by names 'nothing'; sources with a holdout are \['pairs'"):
        trainer.train(replace(config, run_dir=str(tmp_path / "other"), best_by="nothing"), tmp_path)


def test_training_lowers_the_loss(settings: TrainConfig, tmp_path: Path) -> None:
    easy = replace(PAIRS, holdout=())
    config = replace(settings, epochs=2, steps_per_epoch=12, learning_rate=3e-3, sources=(easy,))
    trainer.train(config, tmp_path)
    losses = [line["loss"] for line in _log(config, tmp_path)]
    assert losses[1] < losses[0] - 0.3  # type: ignore[operator]
    assert not (tmp_path / "run/best.safetensors").exists()  # nothing to choose it by


def test_the_encoder_can_be_changed(settings: TrainConfig, tmp_path: Path) -> None:
    config = replace(settings, epochs=1, image_size=96, kernel_size=0, heads=0)
    loaded = checkpoint.load(trainer.train(config, tmp_path))
    assert (loaded.config.image_size, loaded.config.kernel_size, loaded.config.heads) == (96, 0, 0)


def test_a_loss_that_is_not_finite_keeps_the_last_checkpoint(
    settings: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = set_rates

    def broken(optimizer: torch.optim.Optimizer, config: TrainConfig, step: int) -> float:
        if step == 3:
            weights: Tensor = optimizer.param_groups[0]["params"][0]
            weights.data.fill_(torch.nan)
        return real(optimizer, config, step)

    monkeypatch.setattr(trainer, "set_rates", broken)
    with pytest.raises(trainer.TrainingError, match=r"not finite at step 3: lower learning_rate"):
        trainer.train(settings, tmp_path)
    state = torch.load(tmp_path / "run/checkpoint.pt", weights_only=True)
    assert state["steps"] == 2
    assert all(bool(tensor.isfinite().all()) for tensor in state["network"].values())


def test_hard_negatives_are_searched_when_due_and_kept(settings: TrainConfig, tmp_path: Path) -> None:
    config = replace(settings, epochs=4, hard_negatives_every=2)
    trainer.train(config, tmp_path)
    state = torch.load(tmp_path / "run/checkpoint.pt", weights_only=True)
    pairs, overhead = (table.numpy() for table in state["neighbours"])
    assert pairs.shape == (8, 7)
    assert len(overhead)
    for place, row in enumerate(pairs):
        assert np.array_equal(np.sort(row), np.delete(np.arange(8), place))


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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config", "no.yaml"], "no.yaml"),
        (["--config", "no.yaml", "--epocs", "1"], "unknown option --epocs: did you mean --epochs"),
        ([], "--config"),
    ],
)
def test_command_line_errors_are_one_line(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["train", *arguments])
    monkeypatch.setattr(trainer, "keep_freed_memory", lambda: None)
    assert trainer.main() == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert message in lines[0]
