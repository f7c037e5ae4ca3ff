from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import cv2
import pytest
import yaml

from training.report import ReportError, main, read_run, write_report

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

START = {
    "step": 1, "command": "python -m training.train --config c.yaml --seed 4", "revision": "a" * 40, "tree": "dirty",
    "torch": "9.8.7", "timm": "6.5.4", "python": "3.2.1", "cpu": "Some CPU", "cores": 2, "gpu": "none",
}  # fmt: skip


def line(epoch: int, elapsed_s: int, **figures: Any) -> dict[str, Any]:
    return {
        "epoch": epoch, "loss": 4.0 / epoch, "elapsed_s": elapsed_s, "learning_rate": 1e-3 / epoch, "scale": 14 + epoch,
        **figures,
    }  # fmt: skip


LOG = [
    line(1, 600, thumbs={"r1": 0.25, "r5": 0.5}),
    line(2, 1200, thumbs={"r1": 0.5, "r5": 0.75}, **{"nyc/*.jpg": {"r1": 0.125}}),
    line(3, 300),  # resumed
    line(4, 900, thumbs={"r1": 0.375, "r5": 0.8125}),
]


def make_run(folder: Path, log: Sequence[dict[str, Any]] = LOG, epochs: int = 4) -> Path:
    folder.mkdir()
    (folder / "config.yaml").write_text(
        yaml.safe_dump({"variant": "lite", "epochs": epochs}), encoding="utf-8"
    )
    (folder / "log.jsonl").write_text("".join(json.dumps(item) + "\n" for item in log), encoding="utf-8")
    (folder / "starts.jsonl").write_text(
        "".join(json.dumps({**START, "step": step}) + "\n" for step in (1, 21)), encoding="utf-8"
    )
    return folder


def test_report_of_a_finished_run(tmp_path: Path) -> None:
    path = write_report(make_run(tmp_path / "run"))
    assert path == tmp_path / "run" / "report.md"
    text = path.read_text(encoding="utf-8")
    assert "Finished: 4 of 4 epochs are complete, in 0 h 35 min, resumed 1 time." in text  # 1200 + 900 s
    assert "| `thumbs` | r1 | 0.375 | 4 | 0.5 | 2 |" in text
    assert "| `thumbs` | r5 | 0.8125 | 4 | 0.8125 | 4 |" in text
    assert "| `nyc/*.jpg` | r1 | 0.125 | 2 | 0.125 | 2 |" in text
    assert "python -m training.train --config c.yaml --seed 4" in text
    for fact in ("a" * 40, "dirty", "9.8.7", "6.5.4", "3.2.1", "Some CPU", "from step 21", "variant: lite"):
        assert fact in text
    assert "(curves.png)" in text
    picture = cv2.imread(str(tmp_path / "run" / "curves.png"))
    assert picture is not None
    assert picture.std() > 5


def test_report_of_a_half_finished_run_says_so(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", LOG[:3], epochs=40)
    with (folder / "log.jsonl").open("a") as file:
        file.write('{"epoch": 4, "lo')
    text = write_report(folder).read_text(encoding="utf-8")
    assert "**Not finished**: 3 of 40 epochs are complete, in 0 h 25 min" in text
    assert "| `thumbs` | r1 | 0.5 | 2 | 0.5 | 2 |" in text


def test_report_before_the_first_epoch_and_without_starts(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", [])
    (folder / "starts.jsonl").unlink()
    text = write_report(folder).read_text(encoding="utf-8")
    assert "**Not finished**: 0 of 4 epochs" in text
    assert "no validation is complete" in text
    assert "| git revision | unknown |" in text
    assert f"--config {folder / 'config.yaml'}" in text
    assert "curves" not in text


def test_curves_hold_the_logged_points(tmp_path: Path) -> None:
    run = read_run(make_run(tmp_path / "run"))
    assert run.curve("loss") == ([1, 2, 3, 4], [4.0, 2.0, 4.0 / 3, 1.0])
    assert run.curve("thumbs", "r1") == ([1, 2, 4], [0.25, 0.5, 0.375])
    assert run.curve("no such") == ([], [])
    assert run.figures == {"thumbs": ["r1", "r5"], "nyc/*.jpg": ["r1"]}


def test_lost_losses_leave_gaps(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", [line(1, 1) | {"loss": None}, line(2, 2)])
    assert read_run(folder).curve("loss") == ([2], [2.0])
    assert write_report(folder).exists()


def test_what_is_no_run_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match=f"{tmp_path} is no run folder"):
        write_report(tmp_path)
    (tmp_path / "config.yaml").write_text("a: [", encoding="utf-8")
    with pytest.raises(ReportError, match=r"cannot read .*config\.yaml"):
        write_report(tmp_path)
    (tmp_path / "config.yaml").write_text("- a", encoding="utf-8")
    with pytest.raises(ReportError, match="must hold a mapping"):
        write_report(tmp_path)
    assert not (tmp_path / "report.md").exists()


def test_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def report(folder: Path) -> int:
        monkeypatch.setattr("sys.argv", ["report", str(folder)])
        return main()

    assert report(make_run(tmp_path / "run")) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "run" / "report.md")
    assert report(tmp_path / "missing") == 2
    assert capsys.readouterr().err.splitlines() == [
        f"error: {tmp_path / 'missing'} is no run folder: it holds neither config.yaml nor log.jsonl"
    ]
