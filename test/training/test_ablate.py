from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from test.training.make import write_pairs
from training import ablate
from training.ablate import ABLATIONS, Figures

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("_small_variant")

CONFIG = """
variant: small-lite
init: random
epochs: 1
steps_per_epoch: 1
batch_size: 4
threads: 1
workers: 0
sources:
  - kind: pairs
    path: pairs
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    write_pairs(tmp_path / "pairs", 10)
    path = tmp_path / "ablation.yaml"
    path.write_text(CONFIG + "    holdout: ['0006-0009']\n")
    return path


def _run(config: Path, *options: str) -> int:
    output = str(config.parent / "out")
    return ablate.main(["--config", str(config), "--data", str(config.parent), "--output", output, *options])


@pytest.mark.slow
def test_every_run_is_in_the_table_and_none_is_repeated(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = ("--only", "full", "average-pooling", "--seeds", "3", "4")
    assert _run(config, *chosen) == 0
    out = config.parent / "out"
    results = json.loads((out / "ablation.json").read_text())
    assert {name: len(runs) for name, runs in results.items()} == {"full": 2, "average-pooling": 2}
    assert all(0 <= Figures(**run).r1 <= 1 for runs in results.values() for run in runs)
    table = capsys.readouterr().out
    assert "| average-pooling | 2 |" in table
    written = {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")}
    assert len(written) >= 4
    assert _run(config, *chosen) == 0
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")} == written


def test_each_ablation_changes_the_part_it_names() -> None:
    assert ABLATIONS["full"] == {}
    assert all(len(change) == 1 for name, change in ABLATIONS.items() if name != "full")


def test_the_table_gives_mean_and_spread_in_percent() -> None:
    runs = [Figures(value, 0.5, 0.5, 0.5, 1.0) for value in (0.1, 0.2, 0.3)]
    assert "| full | 3 | 20.0 ± 10.0 | 50.0 ± 0.0 |" in ablate.table({"full": runs})


def test_nothing_held_out_is_refused(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(CONFIG)
    assert _run(config) == 2
    assert "holds nothing out" in capsys.readouterr().err
