"""The command line over a dataset: status, tables, JSON, and one line for what is wrong with it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from test.training.make import scene, write, write_pairs, write_university, write_view
from training.check_dataset import main

if TYPE_CHECKING:
    from pathlib import Path


def _run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_clean_dataset_exits_0_and_prints_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_view(tmp_path / "drone", ["0001"], 1_234)
    write_view(tmp_path / "satellite", ["0001"])
    status, out, err = _run(capsys, tmp_path, "--workers", 2)
    assert status == 0
    assert out.splitlines()[3].split() == ["drone", "1", "1,234"]
    assert "no problem found, 1,235 images decoded" in out
    assert "1235/1235" in err  # the progress bar


def test_defects_exit_1_and_differences_are_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_university(tmp_path)
    (root / "train/drone/0900").mkdir()
    status, out, _ = _run(capsys, root)
    assert status == 1
    assert (
        "699 ids fewer than the complete release (701); 37,848 images fewer than the complete release (37,854)"
        in out
    )
    assert f"id without images: 1\n  {root}/train/drone/0900 holds no image\n" in out
    assert "train/google" in out
    assert "1 problem found" in out


def test_without_decoding_a_damaged_image_goes_unnoticed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (write_pairs(tmp_path, 1) / "drone/0000/0.png").write_bytes(b"")
    status, out, err = _run(capsys, tmp_path, "--no-decode")
    assert (status, err) == (0, "")
    assert "images were not decoded" in out


def test_json_holds_the_whole_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_university(tmp_path / "data")
    (root / "train/drone/0900").mkdir()
    status, *_ = _run(capsys, root, "--json", tmp_path / "report.json")
    report: dict[str, Any] = json.loads((tmp_path / "report.json").read_text())
    assert status == 1
    assert (report["dataset"], report["decoded_images"]) == ("University-1652", 32)
    assert report["views"][0] == {
        "name": "train/drone", "ids": 2, "images": 6, "published_ids": 701, "published_images": [37854],
        "verdict": "699 ids fewer than the complete release (701); "
        "37,848 images fewer than the complete release (37,854)",
    }  # fmt: skip
    path = str(root / "train/drone/0900")
    assert report["problems"] == [{"kind": "empty_id", "path": path, "message": f"{path} holds no image"}]
    assert {path.name for path in tmp_path.iterdir()} == {"data", "report.json"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere is not a folder"),
        (["plain/drone/0000"], "holds no dataset of a known layout"),
        ([], "required: ROOT"),
        (["plain", "--workers", "0"], "--workers must be at least 1, got 0"),
        (["plain", "--frobnicate"], "--frobnicate"),
        (["plain", "--no-decode", "--json", "nowhere/report.json"], "nowhere is not a folder that --json"),
        (["plain", "--json", "."], "--json . is a folder"),
    ],
)
def test_a_bad_command_exits_2_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    arguments: list[str], message: str,
) -> None:  # fmt: skip
    write_pairs(tmp_path / "plain", 1)
    monkeypatch.chdir(tmp_path)
    status, out, err = _run(capsys, *arguments)
    assert (status, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err


def test_names_that_are_not_utf8_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = os.fsdecode(b"drone/0000/\xff.png")
    (write_pairs(tmp_path, 1) / bad).touch()
    status, out, _ = _run(capsys, tmp_path, "--json", tmp_path / "report.json")
    assert status == 1
    assert r"\udcff.png cannot be decoded" in out
    json.loads((tmp_path / "report.json").read_text())


def test_ctrl_c_exits_130(tmp_path: Path) -> None:
    write(tmp_path / "image.png", scene(0, 1200))
    for number in range(3000):  # minutes of work
        for view in ("drone", "satellite"):
            folder = tmp_path / "data" / view / f"{number:04d}"
            folder.mkdir(parents=True)
            (folder / "image.png").symlink_to(tmp_path / "image.png")
    command = [sys.executable, "-m", "training.check_dataset", str(tmp_path / "data"), "--workers", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "decoding" in process.stderr.read(20)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[-1] == "interrupted: nothing was changed"
