"""Two real processes on the CPU against one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from test.training.distributed_worker import first_gradient
from test.training.make import write_pairs
from training import config as train_config
from training import distributed
from training.config import SourceConfig, TrainConfig
from training.train import train

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def config(tmp_path: Path, _small_variant: None) -> TrainConfig:
    write_pairs(tmp_path / "pairs", 24)
    return TrainConfig(
        variant="small-lite", init="random", run_dir=str(tmp_path / "one"), epochs=2, steps_per_epoch=2,
        batch_size=8, threads=1, precision="fp32", freeze_batch_norm=True, learning_rate=1e-4,
        sources=(SourceConfig("pairs", "pairs", holdout=("0020-0023",)),),
    )  # fmt: skip


def _command(*arguments: object, processes: int = 2) -> list[str]:
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    return [sys.executable, *torchrun, "-m", "test.training.distributed_worker", *map(str, arguments)]


def _torchrun(*arguments: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        _command(*arguments),
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_one_process_needs_no_torchrun(config: TrainConfig) -> None:
    rows = torch.randn(3, 4, requires_grad=True)
    with distributed.processes(config):
        assert (distributed.rank(), distributed.size(), distributed.is_main()) == (0, 1, True)
        assert distributed.gather(rows) is rows
        assert distributed.from_main("x") == "x"
        assert distributed.any_process(True)
        assert not distributed.any_process(False)


@pytest.mark.slow
@pytest.mark.parametrize("chunk_size", [0, 3])
def test_loss_and_gradient_of_two_processes_are_those_of_one(
    config: TrainConfig, tmp_path: Path, chunk_size: int
) -> None:
    first_gradient(config, tmp_path, tmp_path / "one.pt")
    train_config.save(replace(config, chunk_size=chunk_size), tmp_path / "two.yaml")
    result = _torchrun(tmp_path / "two.yaml", tmp_path, tmp_path / "two.pt")
    assert result.returncode == 0, result.stderr
    one, two = (torch.load(tmp_path / f"{name}.pt", weights_only=True) for name in ("one", "two"))
    assert two["loss"] == pytest.approx(one["loss"], rel=1e-6)
    for name, gradient in one["gradient"].items():
        difference = (two["gradient"][name] - gradient).norm()
        assert difference <= 1e-4 * gradient.norm() + 1e-7, name


@pytest.mark.slow
def test_two_processes_train_as_one_and_write_once(config: TrainConfig, tmp_path: Path) -> None:
    mined = replace(config, hard_negatives_every=1)
    train(mined, tmp_path)
    train_config.save(replace(mined, run_dir=str(tmp_path / "two")), tmp_path / "two.yaml")
    result = _torchrun(tmp_path / "two.yaml", tmp_path)
    assert result.returncode == 0, result.stderr
    logs = [[json.loads(line) for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
            for name in ("one", "two")]  # fmt: skip
    assert [line["epoch"] for line in logs[1]] == [1, 2]
    for one, two in zip(*logs, strict=True):
        assert two["loss"] == pytest.approx(one["loss"], rel=1e-3)
    assert {p.name for p in (tmp_path / "two").iterdir()} == {p.name for p in (tmp_path / "one").iterdir()}


@pytest.mark.slow
def test_a_batch_that_cannot_be_split_is_refused(config: TrainConfig, tmp_path: Path) -> None:
    train_config.save(replace(config, batch_size=7), tmp_path / "two.yaml")
    result = _torchrun(tmp_path / "two.yaml", tmp_path)
    assert result.returncode != 0
    assert "batch_size 7 cannot be split evenly over 2 processes" in result.stderr


@pytest.mark.slow
def test_a_signal_to_two_processes_saves_and_both_end(config: TrainConfig, tmp_path: Path) -> None:
    long = replace(config, epochs=1000, steps_per_epoch=3, run_dir=str(tmp_path / "two"))
    train_config.save(long, tmp_path / "two.yaml")
    process = subprocess.Popen(
        _command(tmp_path / "two.yaml", tmp_path), cwd=REPOSITORY, env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    log = tmp_path / "two/log.jsonl"
    while process.poll() is None and not (log.exists() and len(log.read_text().splitlines()) >= 3):
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, errors = process.communicate(timeout=120)
    assert process.returncode != 0
    state = torch.load(tmp_path / "two/checkpoint.pt", weights_only=True)
    assert state["steps"] >= 9, errors
    assert state["steps"] == 3 * state["epochs"] + len(state["losses"])
    assert state["average"]["steps"] == state["steps"]
