from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from test.training.make import scene, write, write_pairs, write_sues, write_university, write_view
from training.check_dataset import Scan, check, report_view
from training.dataset_report import KINDS
from training.releases import recognise


def _problems(root: Path) -> dict[str, list[str]]:
    """Messages by kind, with paths relative to the dataset."""
    found: dict[str, list[str]] = {}
    for problem in check(root, 1).problems:
        assert problem.kind in KINDS
        found.setdefault(problem.kind, []).append(problem.message.replace(f"{root}/", ""))
    return found


def _counts(root: Path) -> dict[str, tuple[int, int]]:
    return {view.name: (view.ids, view.images) for view in check(root, 1).views}


def test_university_is_clean_and_counted(tmp_path: Path) -> None:
    root = write_university(tmp_path)
    assert _problems(root) == {}
    assert recognise(root).name == "University-1652"
    assert _counts(root) == {
        "train/drone": (2, 6), "train/satellite": (2, 2), "train/street": (2, 4),
        "test/query_drone": (2, 6), "test/query_satellite": (2, 2),
        "test/gallery_drone": (3, 9), "test/gallery_satellite": (3, 3),
    }  # fmt: skip
    assert recognise(root).absent == ("train/google", "test/query_street", "test/gallery_street")


@pytest.mark.parametrize("half", ["train", "test"])
def test_half_of_university_is_no_problem_but_said(tmp_path: Path, half: str) -> None:
    root = write_university(tmp_path)
    shutil.rmtree(root / half)
    report = check(root, 1)
    assert report.problems == ()
    assert half in report.absent
    assert check(root / ("test" if half == "train" else "train"), 1).problems == ()


def test_sues_has_four_heights_and_its_galleries_hold_training_places(tmp_path: Path) -> None:
    root = write_sues(tmp_path)
    assert _problems(root) == {}
    counts = _counts(root)
    assert len(counts) == 24
    assert counts["Testing/300/gallery_drone"] == (4, 8)
    shutil.rmtree(root / "Testing/250")
    assert check(root, 1).absent == ("Testing/250",)


def test_a_place_of_sues_leaks_across_heights(tmp_path: Path) -> None:
    root = write_sues(tmp_path)
    write_view(root / "Testing/300/query_drone", ["0002"])
    places = ", ".join(
        f"Training/{height}/{view}" for height in (150, 200, 250, 300) for view in ("drone", "satellite")
    )
    assert _problems(root) == {"leak": [f"0002 is in {places} and in Testing/300/query_drone"]}


def test_sues_as_downloaded(tmp_path: Path) -> None:
    for place in ("0001", "0002"):
        for height in ("150", "200", "250", "300"):
            write(tmp_path / f"drone_view_512/{place}/{height}/0.png", scene(0, 8))
    write_view(tmp_path / "satellite-view", ["0001"])
    shutil.rmtree(tmp_path / "drone_view_512/0001/250")
    assert _counts(tmp_path)["drone_view_512/<id>/200"] == (2, 2)
    assert _problems(tmp_path) == {
        "bad_folder": ["drone_view_512/0001/250 is missing: expected 250/<id>/<image>"],
        "no_partner": ["drone_view_512/0002 has no partner in satellite-view"],
    }


@pytest.mark.parametrize("names", [("Offset-L-1", "Offset-L-2", "Offset-RD-5"), ("Offset-MIX",)])
def test_written_offsets_must_all_hold_the_same_ids(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        write_view(tmp_path / name, ["0001", "0002"], 2)
    (tmp_path / "manifest.jsonl").touch()
    assert _problems(tmp_path) == {}
    assert _counts(tmp_path) == dict.fromkeys(names, (2, 4))
    shutil.rmtree(tmp_path / names[-1] / "0001")
    if len(names) > 1:
        assert _problems(tmp_path) == {"no_partner": ["Offset-L-2/0001 has no partner in Offset-RD-5"]}


def test_written_offsets_of_a_whole_test_folder(tmp_path: Path) -> None:
    for name in ("Offset-L-1", "Offset-R-1"):
        write_view(tmp_path / name / "query_drone", ["0001"])
        write_view(tmp_path / name / "gallery_drone", ["0001", "0002"])
    assert _problems(tmp_path) == {}
    assert _counts(tmp_path)["Offset-R-1/gallery_drone"] == (2, 2)


def test_plain_views_and_one_view(tmp_path: Path) -> None:
    write_pairs(tmp_path / "plain", 3)
    assert _counts(tmp_path / "plain") == {"drone": (3, 3), "satellite": (3, 3)}
    assert _counts(tmp_path / "plain/drone") == {"drone": (3, 3)}
    shutil.rmtree(tmp_path / "plain/satellite/0001")
    assert _problems(tmp_path / "plain/drone") == {
        "no_partner": [f"0001 has no partner in {tmp_path}/plain/satellite"]
    }
    for view in ("uav", "map", "sketch"):
        write_view(tmp_path / "others" / view, ["0001"])
    assert _problems(tmp_path / "others") == {}
    write_view(tmp_path / "others/map", ["0002"])
    assert _problems(tmp_path / "others") == {"no_partner": ["map/0002 has no partner in sketch"]}


def test_a_split_of_ones_own_is_checked_for_leaks(tmp_path: Path) -> None:
    write_pairs(tmp_path / "train", 2)
    write_view(tmp_path / "test/drone", ["0001"])
    write_view(tmp_path / "test/satellite", ["0001"])
    assert _problems(tmp_path) == {
        "leak": ["0001 is in train/drone, train/satellite and in test/drone, test/satellite"]
    }


def test_every_kind_of_defect_is_named_at_once(tmp_path: Path) -> None:
    root = write_university(tmp_path)
    shutil.rmtree(root / "test/gallery_drone")  # a view that must be there
    (root / "train/drone/0900").mkdir()  # an id without images
    write_view(root / "test/query_drone", ["0007"])  # not in the gallery
    write_view(root / "train/satellite", ["0843"])  # not among the drone views
    for place in ("0001", "0003"):  # queries that were trained on
        for view in ("drone", "satellite"):
            write_view(root / "train" / view, [place])
    image = root / "train/drone/0839/image-00.png"
    image.write_bytes(image.read_bytes()[:-20])
    (root / "train/drone/0839/image-01.png").write_bytes(b"")
    (root / "test/query_satellite/0001/image-00.png").write_text("<html>not found</html>")
    (root / "train/drone/0842/more").mkdir()
    write(root / "train/satellite/stray.png", scene(0, 8))
    found = _problems(root)
    trained = "train/drone, train/satellite"
    tested = "test/query_drone, test/query_satellite, test/gallery_satellite"
    assert found == {
        "bad_folder": [
            "train/drone/0842/more is a folder inside an id",
            "train/satellite/stray.png lies outside of the id folders",
            "test/gallery_drone is missing: expected gallery_drone/<id>/<image>",
        ],
        "empty_id": ["train/drone/0900 holds no image"],
        "no_partner": [
            "train/satellite/0843 has no partner in train/drone",
            "test/query_drone/0007 has no partner in test/gallery_satellite",
        ],
        "undecodable_image": [
            f"{path} cannot be decoded as an image: it is cut off, damaged or something else"
            for path in (
                "train/drone/0839/image-00.png",
                "train/drone/0839/image-01.png",
                "test/query_satellite/0001/image-00.png",
            )
        ],
        "leak": [f"{place} is in {trained} and in {tested}" for place in ("0001", "0003")],
    }


def test_only_ground_views_may_hold_ids_without_images(tmp_path: Path) -> None:
    root = write_university(tmp_path)
    (root / "train/street/0839/image-00.png").unlink()
    (root / "train/street/0839/image-01.png").unlink()
    report = check(root, 1)
    assert report.problems == ()
    assert report.notes == ("train/street: 1 id without images, as in the release of ground views",)
    assert _counts(root)["train/street"] == (1, 2)


def test_files_that_are_no_images_are_mentioned(tmp_path: Path) -> None:
    (write_pairs(tmp_path, 1) / "drone/0000/notes.txt").touch()
    assert check(tmp_path, 1).notes == (
        f"drone: 1 file of another kind, such as {tmp_path}/drone/0000/notes.txt",
    )


def test_a_link_to_nothing_does_not_decode(tmp_path: Path) -> None:
    (write_pairs(tmp_path, 1) / "drone/0000/1.png").symlink_to(tmp_path / "gone.png")
    assert _problems(tmp_path) == {
        "undecodable_image": ["drone/0000/1.png cannot be read: No such file or directory"]
    }


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    (write_pairs(tmp_path, 2) / "drone/0001").chmod(0)
    assert _problems(tmp_path) == {"bad_folder": ["drone/0001 cannot be listed: Permission denied"]}


@pytest.mark.parametrize(
    ("view", "ids", "images"),
    [
        ("train/drone", 701, 37_854), ("train/satellite", 701, 701), ("train/street", 700, 11_640),
        ("test/query_drone", 701, 37_855), ("test/query_satellite", 701, 701),
        ("test/gallery_satellite", 951, 951), ("test/gallery_drone", 951, 51_355),
    ],
)  # fmt: skip
def test_counts_of_the_complete_release_are_known(tmp_path: Path, view: str, ids: int, images: int) -> None:
    part = {part.name: part for part in recognise(write_university(tmp_path)).parts}[view]
    sizes = [1] * (ids - 1) + [images - ids + 1]
    complete = {f"{number:04d}": (Path("x.png"),) * size for number, size in enumerate(sizes)}
    assert report_view(Scan(part, complete, (), ())).verdict == "as released"
    last = f"{ids - 1:04d}"
    fewer = report_view(Scan(part, {**complete, last: ()}, (), ())).verdict
    assert f"image{'s' * (images > ids)} fewer than the complete release ({images:,})" in fewer
    more = report_view(Scan(part, {**complete, last: (*complete[last], Path("y.png"))}, (), ())).verdict
    assert more == f"1 image more than the complete release ({images:,})"


def test_the_thumbnails_are_clean(shared_data: Path) -> None:
    root = shared_data / "university1652_thumbs"
    report = check(root, 2)
    assert report.problems == ()
    assert {view.name: (view.ids, view.images) for view in report.views} == {
        "drone": (399, 399), "satellite": (399, 399),
    }  # fmt: skip
