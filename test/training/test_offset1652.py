"""The writer of Offset-1652: its files, its manifest, what it goes on with and what it refuses."""

from __future__ import annotations

import os
import shutil
from hashlib import sha256
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from test.training.offset_tree import TWO, decode, files, make_source, manifest, picture, refused, run
from training.images import read_image
from training.offset_jpeg import encode_crops
from training.offsets import MIX_NAME, VARIANTS, crop_box, cut, mix_variant, parse_variants

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_source(tmp_path / "source")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.mark.parametrize("suffix", [".jpeg", ".png"])
def test_all_png_crops_equal_the_view_on_the_fly(tmp_path: Path, out: Path, suffix: str) -> None:
    source = make_source(tmp_path / "source", 1, (suffix,))
    assert run(source, out, "--format", "png") == 0
    for variant in VARIANTS:
        written = read_image(out / variant.name / "0000" / "image-00.png")
        assert np.array_equal(written, read_image(source / "0000" / f"image-00{suffix}", variant))


def test_each_variant_is_a_dataset_folder_with_the_names_of_the_source(source: Path, out: Path) -> None:
    assert run(source, out) == 0
    names = set(files(source))
    assert {folder.name for folder in out.iterdir() if folder.is_dir()} == {v.name for v in VARIANTS}
    for variant in VARIANTS:
        assert set(files(out / variant.name)) == names
    png = read_image(out / "Offset-U-3" / "0000" / "image-01.png")  # keep: png stays lossless
    assert np.array_equal(
        png, cut(read_image(source / "0000" / "image-01.png"), parse_variants("Offset-U-3")[0])
    )


@pytest.mark.parametrize("quality", [20, 95, 100])
def test_jpeg_crops_are_those_of_opencv(quality: int) -> None:
    pixels = picture(1)
    plain = [cv2.IMWRITE_JPEG_QUALITY, quality]
    for variant, file in zip(VARIANTS, encode_crops(pixels, VARIANTS, quality), strict=True):
        window = cut(pixels, variant)
        restarted = cv2.imencode(".jpg", window, [*plain, cv2.IMWRITE_JPEG_RST_INTERVAL, 3])[1]
        assert file == restarted.tobytes()
        assert np.array_equal(decode(file), decode(cv2.imencode(".jpg", window, plain)[1].tobytes()))


def test_a_jpeg_crop_does_not_depend_on_which_others_are_cut() -> None:
    pixels = picture(2)
    together = dict(zip(VARIANTS, encode_crops(pixels, VARIANTS, 95), strict=True))
    for chosen in (VARIANTS[::7], VARIANTS[36:38], VARIANTS[39:]):
        assert encode_crops(pixels, chosen, 95) == tuple(together[variant] for variant in chosen)


def test_the_mix_gives_each_image_one_variant_by_seed_and_path(
    source: Path, out: Path, tmp_path: Path
) -> None:
    assert run(source, out, "--mix", "--seed", 7, "--format", "png") == 0
    assert {folder.name for folder in out.iterdir() if folder.is_dir()} == {MIX_NAME}
    for name in files(source):
        written = read_image((out / MIX_NAME / name).with_suffix(".png"))
        assert np.array_equal(written, read_image(source / name, mix_variant(7, name)))
    assert run(source, tmp_path / "again", "--mix", "--seed", 7, "--format", "png", "--workers", 1) == 0
    assert files(out) == files(tmp_path / "again")


def test_the_result_does_not_depend_on_the_number_of_workers(tmp_path: Path) -> None:
    source = make_source(tmp_path / "source", 7)
    for workers in (1, 3):
        assert run(source, tmp_path / f"out{workers}", *TWO[:2], "--workers", workers) == 0
    assert files(tmp_path / "out1") == files(tmp_path / "out3")


def test_the_manifest_tells_source_variant_size_hash_and_settings(source: Path, out: Path) -> None:
    assert run(source, out, *TWO, "--quality", 80) == 0
    first, *entries, total = manifest(out)
    variants = ["Offset-L-1", "Offset-RD-5"]
    assert first["settings"] == {"variants": variants, "mix_seed": None, "format": "keep", "quality": 80}
    assert [entry["source"] for entry in entries] == sorted(files(source))
    assert total == {"sources": 3, "crops": 6}
    for entry in entries:
        for crop in entry["crops"]:
            path = out / crop["variant"] / entry["source"]
            digest = sha256(path.read_bytes()).hexdigest()
            assert (crop["bytes"], crop["side"], crop["sha256"]) == (path.stat().st_size, 384, digest)


def test_a_torn_line_of_the_manifest_is_cut_again(source: Path, out: Path) -> None:
    assert run(source, out, *TWO) == 0
    whole = files(out)
    content = (out / "manifest.jsonl").read_bytes()
    for size in (len(content) - 150, 20):
        (out / "manifest.jsonl").write_bytes(content[:size])
        assert run(source, out, *TWO) == 0
        assert files(out) == whole


def test_an_altered_size_or_a_missing_crop_is_written_again(source: Path, out: Path) -> None:
    assert run(source, out, *TWO) == 0
    whole = files(out)
    (out / "Offset-L-1/0000/image-00.jpeg").unlink()
    (out / "Offset-RD-5/0000/image-01.png").write_bytes(b"short")
    assert run(source, out, *TWO) == 0
    assert files(out) == whole


def test_new_and_changed_sources_are_noticed(
    source: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(source, out, *TWO) == 0
    untouched = (out / "Offset-L-1/0001/image-02.jpeg").stat().st_mtime_ns
    os.utime(source / "0001/image-02.jpeg", ns=(1, 1))  # a copy: same content, other time
    cv2.imwrite(str(source / "0000/image-00.jpeg"), picture(50))
    cv2.imwrite(str(source / "0001/image-03.png"), picture(51))
    assert run(source, out, "--verify") == 2
    assert {
        "source altered: " + str(source / "0000/image-00.jpeg"),
        f"not cut: {source / '0001/image-03.png'}",
    } < set(capsys.readouterr().out.splitlines())
    assert run(source, out, *TWO) == 0
    assert "1 source images have changed" in capsys.readouterr().out
    assert run(source, out, "--verify") == 0
    assert (out / "Offset-L-1/0001/image-02.jpeg").stat().st_mtime_ns == untouched


def test_verify_finds_what_is_altered_missing_or_extra(
    source: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(source, out, *TWO) == 0
    assert run(out, "--verify") == 0
    altered = out / "Offset-L-1/0000/image-00.jpeg"
    content = bytearray(altered.read_bytes())
    content[-100] ^= 1
    altered.write_bytes(content)  # same size
    (out / "Offset-RD-5/0000/image-01.png").unlink()
    (out / "Offset-RD-5/0000/other.png").write_bytes(b"")
    capsys.readouterr()
    assert run(out, "--verify") == 2
    shown = capsys.readouterr()
    assert shown.out.splitlines() == [
        "extra: Offset-RD-5/0000/other.png",
        "altered: Offset-L-1/0000/image-00.jpeg",
        "missing: Offset-RD-5/0000/image-01.png",
    ]
    assert "3 places" in shown.err


@pytest.mark.parametrize("kind", ["small", "text", "cut off", "dangling"])
def test_a_bad_image_stops_the_run_or_is_skipped(
    source: Path, out: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    bad = source / "0001" / "bad.jpeg"
    if kind == "small":
        cv2.imwrite(str(bad), picture(0)[:480])
    elif kind == "text":
        bad.write_text("not an image")
    elif kind == "cut off":
        whole = (source / "0000/image-00.jpeg").read_bytes()
        bad.write_bytes(whole[: len(whole) // 2])
    else:
        bad.symlink_to("nowhere")
    message = refused(capsys, source, out, *TWO)
    assert str(bad) in message
    assert kind != "small" or "512 x 480 px" in message
    assert run(source, out, *TWO, "--on-bad-image", "skip") == 0
    assert str(bad) in capsys.readouterr().out
    assert set(files(out / "Offset-L-1")) == set(files(source)) - {"0001/bad.jpeg"}
    assert [entry["source"] for entry in manifest(out)[1:-1] if entry["skipped"]] == ["0001/bad.jpeg"]
    assert run(out, "--verify") == 0
    bad.unlink()
    cv2.imwrite(str(bad), picture(9))
    assert run(source, out, *TWO) == 0
    assert set(files(out / "Offset-L-1")) == set(files(source))


@pytest.mark.parametrize(
    "options", [("--quality", 90), ("--variants", "Offset-L-2"), ("--mix",), ("--format", "png")]
)
def test_other_settings_into_the_same_folder_are_refused(
    source: Path, out: Path, capsys: pytest.CaptureFixture[str], options: tuple[object, ...]
) -> None:
    assert run(source, out, "--variants", "Offset-L-1") == 0
    before = files(out)
    assert str(out) in refused(capsys, source, out, *(options if "--mix" in options else ("--variants", "Offset-L-1")),
                               *(() if "--mix" in options else options))  # fmt: skip
    assert files(out) == before


def test_a_wrong_place_is_refused(
    source: Path, out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    (tmp_path / "file").write_text("")
    assert "inside the source" in refused(capsys, source, source / "out")
    assert "holds no image" in refused(capsys, tmp_path / "empty", out)
    assert str(tmp_path / "absent") in refused(capsys, tmp_path / "absent", out)
    assert "not empty" in refused(capsys, source, tmp_path / "full")
    assert str(tmp_path / "file") in refused(capsys, source, tmp_path / "file")
    assert "manifest.jsonl is missing" in refused(capsys, tmp_path / "full", "--verify")
    assert not out.exists() or not any(out.iterdir())
    assert run(source, out, *TWO) == 0
    other = make_source(tmp_path / "other", 1, (".webp",))
    assert "give the same source" in refused(capsys, other, out, *TWO)


def test_two_images_that_would_become_one_file_are_refused(
    source: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(source / "0000/image-00.jpeg", source / "0000/image-00.png")
    assert "image-00.jpeg and" in refused(capsys, source, out, "--format", "png")
    assert run(source, out, *TWO) == 0


@pytest.mark.parametrize(
    "options",
    [("--quality", 0), ("--workers", 0), ("--seed", 1), ("--variants", "Offset-L-9"), ("--format", "bmp"), ("--mix", *TWO[:2])],
)  # fmt: skip
def test_wrong_options_are_refused(
    source: Path, out: Path, capsys: pytest.CaptureFixture[str], options: tuple[object, ...]
) -> None:
    assert str(options[-1]) in refused(capsys, source, out, *options) or options[0] in {"--seed", "--mix"}
    assert not out.exists()


def test_boxes_of_the_crops_lie_on_few_grids() -> None:
    """What makes JPEG fast: 40 windows, 12 grids of 48 px."""
    assert len({(crop_box(v).left % 48, crop_box(v).top % 48) for v in VARIANTS}) == 12
