from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from test.training.make import write_pairs, write_sues, write_university, write_view
from training.layouts import DataError, Direction, directions_of, find_training, read_view

NAMES = st.text("abcxyz0123456789-_ é.", min_size=1, max_size=8).filter(lambda name: not name.startswith("."))


@settings(max_examples=40)
@given(st.dictionaries(NAMES, st.sets(NAMES, min_size=1, max_size=4), min_size=1, max_size=5))
def test_a_view_is_read_as_it_was_written(tree: dict[str, set[str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, images in tree.items():
            (Path(folder) / name).mkdir()
            for image in images:
                (Path(folder) / name / f"{image}.JPEG").touch()
        view = read_view(Path(folder))
    assert view.ids == tuple(sorted(tree))
    assert view.count == sum(map(len, tree.values()))
    for name, paths in view.images.items():
        assert [path.parent.name for path in paths] == [name] * len(tree[name])
        assert [path.stem for path in paths] == sorted(tree[name], key=lambda stem: f"{stem}.JPEG")


def test_hidden_files_and_other_files_are_passed_over(tmp_path: Path) -> None:
    write_view(tmp_path, ["0001"], 2)
    for name in (".DS_Store", "readme.txt", "0001/._image-00.png", "0001/Thumbs.db"):
        (tmp_path / name).touch()
    (tmp_path / ".trash").mkdir()
    view = read_view(tmp_path)
    assert (view.ids, view.count) == (("0001",), 2)


def test_an_id_without_images_is_named(tmp_path: Path) -> None:
    write_view(tmp_path, ["0001"])
    (tmp_path / "0002").mkdir()
    with pytest.raises(DataError, match=r"0002 holds no image"):
        read_view(tmp_path)


def test_a_view_without_ids_or_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "drone").mkdir()
    with pytest.raises(DataError, match=r"drone holds no folder of images"):
        read_view(tmp_path / "drone")
    with pytest.raises(DataError, match=r"satellite is missing"):
        read_view(tmp_path / "satellite")
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"file cannot be listed: Not a directory"):
        read_view(tmp_path / "file")


@pytest.mark.parametrize("below", [".", "train", "train/drone"])
def test_university_is_found_from_each_of_its_levels(tmp_path: Path, below: str) -> None:
    found = find_training(write_university(tmp_path) / below)
    assert (found.drone, found.satellite) == (tmp_path / "train/drone", tmp_path / "train/satellite")


@pytest.mark.parametrize("height", ["150", "200", "250", "300"])
def test_a_height_of_sues_is_found(tmp_path: Path, height: str) -> None:
    folder = write_sues(tmp_path, [height]) / "Training" / height
    for root in (folder, tmp_path / "Training", tmp_path):
        found = find_training(root)
        assert (found.drone, found.satellite) == (folder / "drone", folder / "satellite")


def test_sues_with_several_heights_asks_for_one(tmp_path: Path) -> None:
    write_sues(tmp_path)
    with pytest.raises(DataError, match=r"several datasets: give one of .*Training/150.*Training/300"):
        find_training(tmp_path)


def test_sues_as_downloaded_says_how_to_split_it(tmp_path: Path) -> None:
    write_view(tmp_path / "drone_view_512/0001", ["150"])
    with pytest.raises(DataError, match=r"without a split: sort it into Training/<height>"):
        find_training(tmp_path)


@pytest.mark.parametrize("name", ["Offset-LU-5", "Offset-MIX"])
@pytest.mark.parametrize("out", [".", "offsets"], ids=["beside", "one level down"])
def test_written_offsets_find_the_satellite_view_beside_them(tmp_path: Path, out: str, name: str) -> None:
    train = write_university(tmp_path) / "train"
    write_view(train / out / name, ["0839", "0842"])
    found = find_training(train / out / name)
    assert (found.drone, found.satellite) == (train / out / name, train / "satellite")
    if out == "offsets":
        assert find_training(train / out).drone == train / out / name
        write_view(train / out / "Offset-L-1", ["0839"])
        with pytest.raises(DataError, match=r"several datasets: give one of .*Offset-L-1"):
            find_training(train / out)


def test_no_satellite_view_says_where_it_is_expected(tmp_path: Path) -> None:
    write_view(tmp_path / "a/b/Offset-L-1", ["0001"])
    with pytest.raises(DataError, match=r"b/Offset-L-1 has no satellite view: expected .*a/b/satellite"):
        find_training(tmp_path / "a/b/Offset-L-1")
    with pytest.raises(DataError, match=r"nowhere is missing"):
        find_training(tmp_path / "nowhere")


@pytest.mark.parametrize("folder", ["test", "Testing/200"])
def test_directions_of_known_datasets_swap_roles_too(tmp_path: Path, folder: str) -> None:
    (write_university if folder == "test" else write_sues)(tmp_path)
    view = {name: tmp_path / folder / name for name in
            ("query_drone", "gallery_drone", "query_satellite", "gallery_satellite")}  # fmt: skip
    to_satellite = Direction("drone->satellite", view["query_drone"], view["gallery_satellite"])
    to_drone = Direction("satellite->drone", view["query_satellite"], view["gallery_drone"])
    assert directions_of(view["query_drone"], view["gallery_satellite"]) == (to_satellite, to_drone)
    assert directions_of(view["query_satellite"], view["gallery_drone"]) == (to_drone, to_satellite)


def test_directions_of_plain_views_swap_them(tmp_path: Path) -> None:
    drone, satellite = (write_pairs(tmp_path, 1) / view for view in ("drone", "satellite"))
    asked = Direction("drone->satellite", drone, satellite)
    assert directions_of(drone, satellite) == (asked, Direction("satellite->drone", satellite, drone))


def test_directions_of_unknown_folders_are_the_asked_one_alone(tmp_path: Path) -> None:
    queries, gallery = tmp_path / "uav", tmp_path / "map"
    assert directions_of(queries, gallery) == (Direction("drone->satellite", queries, gallery),)


def test_directions_of_written_offsets(tmp_path: Path) -> None:
    test = write_university(tmp_path) / "test"
    for name in ("query_drone/Offset-R-2", "gallery_drone/Offset-R-2", "Offset-R-2", "drone/Offset-R-2"):
        write_view(tmp_path / "offsets" / name, ["0001"])
    offsets = tmp_path / "offsets"
    both = directions_of(offsets / "query_drone/Offset-R-2", test / "gallery_satellite")
    assert both[1] == Direction(
        "satellite->drone", test / "query_satellite", offsets / "gallery_drone/Offset-R-2"
    )
    # Of this one nobody knows the gallery: queries must not stand in for it.
    assert len(directions_of(offsets / "Offset-R-2", test / "gallery_satellite")) == 1
    plain = directions_of(offsets / "drone/Offset-R-2", tmp_path / "train/satellite")
    assert plain[1] == Direction(
        "satellite->drone", tmp_path / "train/satellite", offsets / "drone/Offset-R-2"
    )


def test_without_the_counterpart_there_is_no_reverse_direction(tmp_path: Path) -> None:
    write_view(tmp_path / "query_drone", ["0001"])
    write_view(tmp_path / "gallery_satellite", ["0001"])
    assert len(directions_of(tmp_path / "query_drone", tmp_path / "gallery_satellite")) == 1
