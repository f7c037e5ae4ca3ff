from __future__ import annotations

import importlib
import json
import math
import sys
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
import torch

from test.training.make import scene
from training import environment
from training.journal import CAPTION, CELL, GREEN, RED, Journal, JournalError, draw_pairs

if TYPE_CHECKING:
    from pathlib import Path


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in path.read_text(encoding="utf-8").splitlines()]


def run(folder: Path, first_epoch: int, last_epoch: int, loss: float) -> None:
    """Epochs of 4 steps each, as training writes them."""
    journal = Journal(folder)
    for epoch in range(first_epoch, last_epoch + 1):
        for step in range(4 * (epoch - 1) + 1, 4 * epoch + 1):
            journal.step(step, {"loss": loss, "learning_rate": step / 100, "scale": 14.0})
        journal.epoch({"epoch": epoch, "loss": loss, "places": {"r1": epoch / 10, "r5": 0.9}})
    journal.close()


def views(count: int, side: int = 32) -> torch.Tensor:
    """uint8 B x 3 x S x S."""
    return torch.from_numpy(np.stack([scene(seed, side) for seed in range(count)])).permute(0, 3, 1, 2)


def test_a_resumed_run_has_one_line_an_epoch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, 1, 5, loss=3.0)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"epoch": 6, "los')  # the power went
    run(tmp_path, 4, 6, loss=2.0)  # from the checkpoint after epoch 3
    log = lines(tmp_path / "log.jsonl")
    assert [line["epoch"] for line in log] == [1, 2, 3, 4, 5, 6]
    assert [line["loss"] for line in log] == [3.0, 3.0, 3.0, 2.0, 2.0, 2.0]
    assert log[3]["learning_rate"] == 0.16  # of the epoch's last step
    assert log[3]["places"] == {"r1": 0.4, "r5": 0.9}
    assert capsys.readouterr().out.splitlines()[-1] == json.dumps(log[-1])
    assert not list(tmp_path.glob("*.tmp"))


def test_starts_tell_how_the_run_was_made(tmp_path: Path) -> None:
    run(tmp_path, 1, 3, loss=1.0)
    run(tmp_path, 3, 3, loss=1.0)
    run(tmp_path, 3, 4, loss=1.0)  # the second time from the same checkpoint
    starts = lines(tmp_path / "starts.jsonl")
    assert [start["step"] for start in starts] == [1, 9]
    assert starts[0]["torch"] == torch.__version__.partition("+")[0]
    assert starts[0].keys() >= {
        "command",
        "revision",
        "tree",
        "timm",
        "python",
        "cpu",
        "cores",
        "gpu",
        "started",
    }


def test_tensorboard_shows_each_step_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    # The files of one process and second are read in the order of a counter that is not padded: 10 before 9.
    event_files = importlib.import_module("tensorboard.summary.writer.event_file_writer")
    monkeypatch.setattr(event_files, "_global_uid", event_files.AtomicCounter(0))
    run(tmp_path, 1, 3, loss=3.0)
    run(tmp_path, 3, 4, loss=2.0)
    journal = Journal(tmp_path)
    journal.step(17, {"loss": 2.0})
    journal.pairs(5, views(3), views(3), torch.eye(3))
    journal.close()
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    loss = [(event.step, event.value) for event in events.Scalars("train/loss")]
    assert loss == [(step, 3.0 if step <= 8 else 2.0) for step in range(1, 18)]
    recall = [(event.step, round(event.value, 6)) for event in events.Scalars("places/r1")]
    assert recall == [(4, 0.1), (8, 0.2), (12, 0.3), (16, 0.4)]
    assert [image.step for image in events.Images("pairs")] == [17]


def test_a_start_that_makes_no_step_keeps_the_starts_before_it(tmp_path: Path) -> None:
    run(tmp_path, 1, 2, loss=1.0)
    steps = lines(tmp_path / "starts.jsonl")[0]["step"]
    assert steps == 1
    journal = Journal(tmp_path, done=8)  # resumed where only the validation was left
    journal.pairs(2, views(3), views(3), torch.eye(3))
    journal.close()
    assert [start["step"] for start in lines(tmp_path / "starts.jsonl")] == [1, 9]


def test_without_tensorboard_the_log_is_still_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    run(tmp_path, 1, 2, loss=1.0)
    assert len(lines(tmp_path / "log.jsonl")) == 2
    assert capsys.readouterr().err.count("pip install -r requirements/training.txt") == 1
    assert not (tmp_path / "tensorboard").exists()


def test_numbers_that_json_does_not_know_become_null(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.epoch({"epoch": 1, "loss": math.nan, "places": {"r1": math.inf}})
    journal.close()
    assert lines(tmp_path / "log.jsonl") == [{"epoch": 1, "loss": None, "places": {"r1": None}}]


def test_other_ranks_write_and_print_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    journal = Journal(None)
    journal.step(1, {"loss": 1.0})
    journal.epoch({"epoch": 1, "loss": 1.0})
    journal.pairs(1, views(2), views(2), torch.eye(2))
    journal.close()
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr() == ("", "")


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").mkdir()
    journal = Journal(tmp_path)
    with pytest.raises(JournalError, match=r"log\.jsonl"):
        journal.epoch({"epoch": 1, "loss": 1.0})
    journal.close()


def test_the_picture_shows_what_was_found_and_whether_it_is_right(tmp_path: Path) -> None:
    drone, satellite = views(12), views(24)[12:]
    similarity = torch.eye(12) * 0.5
    similarity[1, 3] = 0.9
    picture = draw_pairs(7, drone, satellite, similarity)
    assert picture.shape == (CAPTION + 8 * (CELL + CAPTION), 3 * CELL, 3)  # the first 8 of 12
    middle = [(CAPTION + row * (CELL + CAPTION) + 3, 2 * CELL + CELL // 2) for row in range(8)]
    frames = [tuple(picture[y - 2, x]) for y, x in middle]
    assert frames == [GREEN, RED, *[GREEN] * 6]
    cell = slice(CAPTION + CELL + CAPTION, CAPTION + CELL + CAPTION + CELL), slice(2 * CELL, 3 * CELL)
    found = cv2.resize(picture[cell], (32, 32), interpolation=cv2.INTER_AREA)[4:-4, 4:-4]
    errors = [
        np.abs(found - view.permute(1, 2, 0).numpy()[4:-4, 4:-4].astype(int)).mean() for view in satellite
    ]
    assert np.argmin(errors) == 3
    assert errors[3] < 10

    journal = Journal(tmp_path)
    journal.pairs(7, drone, satellite, similarity)
    journal.close()
    written = cv2.imread(str(tmp_path / "pairs.png"))
    assert written is not None
    np.testing.assert_array_equal(written[:, :, ::-1], picture)


def test_git_state_of_a_repository_and_of_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert environment.git_state(tmp_path) == {"revision": "unknown", "tree": "unknown"}
    monkeypatch.setenv("PATH", str(tmp_path))  # git is not installed
    assert environment.git_state(tmp_path) == {"revision": "unknown", "tree": "unknown"}


@pytest.mark.parametrize(
    ("arguments", "processes", "expected"),
    [
        (["/r/training/train.py", "--config", "a b.yaml"], 1, "python -m training.train --config 'a b.yaml'"),
        (["train.py", "--seed", "3"], 2, "torchrun --nproc-per-node=2 -m training.train --seed 3"),
        (["/usr/bin/pytest", "-q"], 1, "unknown"),
    ],
)
def test_command_line(arguments: list[str], processes: int, expected: str) -> None:
    assert environment.command_line(arguments, processes) == expected
