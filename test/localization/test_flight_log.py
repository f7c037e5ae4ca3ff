"""flight.csv: its pictures are those of its folder, and what is wrong is named by line and column."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lkpan_ros.errors import FlightError
from lkpan_ros.localization.flight_log import read_flight

if TYPE_CHECKING:
    from pathlib import Path


def write(folder: Path, *lines: str, header: str = "file,stamp_s,heading_deg") -> Path:
    (folder / "flight.csv").write_text("\n".join([header, *lines]) + "\n")
    return folder / "flight.csv"


def test_pictures_lie_beside_the_file_and_below(tmp_path: Path) -> None:
    (tmp_path / "flight").mkdir()
    (tmp_path / "link").symlink_to("flight")
    path = write(tmp_path / "flight", "a.jpg,1,", "frames/b.jpg,2,-90", "./../flight/c.jpg,3,450")
    for given in (path, tmp_path / "flight", tmp_path / "link" / "flight.csv"):
        records = read_flight(given)
        assert [record.file for record in records] == [
            tmp_path / "flight" / name for name in ("a.jpg", "frames/b.jpg", "c.jpg")
        ]
        assert [record.heading_deg for record in records] == [None, 270.0, 90.0]


@pytest.mark.parametrize(
    "name", ["../secret.jpg", "/etc/passwd", "frames/../../secret.jpg", "out/secret.jpg", "..", ".", "a\0b"]
)
def test_pictures_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "flight"
    folder.mkdir()
    (folder / "out").symlink_to(tmp_path)
    with pytest.raises(FlightError, match=r"line 2, column file: .*name a picture inside"):
        read_flight(write(folder, f"{name},1,"))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (",1,", "column file"),
        ("a.jpg,,", "column stamp_s"),
        ("a.jpg,one,", "column stamp_s: 'one'"),
        ("a.jpg,nan,", "column stamp_s: 'nan'"),
        ("a.jpg,1,inf", "column heading_deg: 'inf'"),
    ],
)
def test_values_that_are_none_are_named(tmp_path: Path, line: str, words: str) -> None:
    with pytest.raises(FlightError, match=f"line 3, {words}"):
        read_flight(write(tmp_path, "a.jpg,0,", line))
