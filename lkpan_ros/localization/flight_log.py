"""A recorded flight: `flight.csv`, one row a frame, and the pictures beside it.

Columns: `file` (path of the picture, relative to the CSV), `stamp_s`, `lat` and `lon` (of the vehicle, degrees,
WGS-84), `height_above_takeoff_m`, `heading_deg` (clockwise from north), `view_lat` and `view_lon` (the ground
point in the middle of the picture), `view_checked` (1: that point was verified). Only `file` is required. What is
missing or empty is unknown and becomes None, never zero; other columns are ignored.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lkpan_ros.errors import FlightError
from lkpan_ros.localization.geodesy import LatLon
from lkpan_ros.localization.paths import inside

if TYPE_CHECKING:
    from pathlib import Path

Row = dict[str, str | None]


@dataclass(frozen=True)
class FlightRecord:
    """One frame of a flight.

    Attributes:
        file: The picture.
        stamp_s: Capture time, seconds. Without the column `stamp_s`: the row's number, from 0.
        vehicle: Where the vehicle was (truth), or None where unknown.
        height_m: Height above the take-off point, metres, or None where unknown.
        heading_deg: The vehicle's heading, 0..360 degrees clockwise from north, or None where unknown.
        view: The ground point in the middle of the picture, or None where unknown.
        view_checked: `view` was verified and may serve as truth. Without the column: wherever there is a view.
    """

    file: Path
    stamp_s: float
    vehicle: LatLon | None = None
    height_m: float | None = None
    heading_deg: float | None = None
    view: LatLon | None = None
    view_checked: bool = False

    @property
    def view_truth(self) -> LatLon | None:
        """`view` where it was verified, else None."""
        return self.view if self.view_checked else None


def read_flight(path: Path) -> tuple[FlightRecord, ...]:
    """The records of a `flight.csv` (or of the one in a folder), in the file's order.

    The pictures are not opened.

    Raises:
        FlightError: The file is missing, empty or without the column `file`, a picture is not inside its folder, or
            a value is no number or out of its range; the message names file, line, column and value.
    """
    if path.is_dir():
        path = path / "flight.csv"
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, skipinitialspace=True, restkey="")
            columns = _columns(reader, path)
            records = tuple(
                _Line(path, reader.line_num, columns, row).record(number) for number, row in enumerate(reader)
            )
    except OSError as error:
        raise FlightError(
            f"{path}: cannot be read ({error.strerror}); give a flight.csv or its folder"
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise FlightError(f"{path}: is no CSV in UTF-8 ({error})") from error
    if not records:
        raise FlightError(f"{path}: has no rows after its header")
    return records


def _columns(reader: csv.DictReader[str], path: Path) -> frozenset[str]:
    columns = [name.strip() for name in reader.fieldnames or []]
    if "file" not in columns:
        raise FlightError(f"{path}: has no column 'file'; its header names {', '.join(columns) or 'nothing'}")
    if twice := sorted({name for name in columns if name and columns.count(name) > 1}):
        raise FlightError(f"{path}: its header names {', '.join(twice)} more than once")
    reader.fieldnames = columns
    return frozenset(columns)


@dataclass(frozen=True)
class _Line:
    """One line of the CSV and where it stands, so that every complaint can name its place."""

    path: Path
    line: int
    columns: frozenset[str]
    row: Row

    def record(self, number: int) -> FlightRecord:
        view = self._point("view_lat", "view_lon")
        checked = self._number("view_checked", 0.0, 1.0)
        heading = self._number("heading_deg")
        return FlightRecord(
            file=self._file(),
            stamp_s=self._stamp(number),
            vehicle=self._point("lat", "lon"),
            height_m=self._number("height_above_takeoff_m"),
            heading_deg=None if heading is None else heading % 360.0,
            view=view,
            view_checked=view is not None and ("view_checked" not in self.columns or checked == 1.0),
        )

    def _file(self) -> Path:
        name = (self.row.get("file") or "").strip()
        if not name:
            raise self._error("file", "", "give the path of a picture")
        picture = inside(self.path.parent, name)
        if picture is None:
            raise self._error("file", name, f"name a picture inside {self.path.parent}")
        return picture

    def _stamp(self, number: int) -> float:
        stamp = self._number("stamp_s")
        if stamp is None and "stamp_s" in self.columns:
            raise self._error("stamp_s", "", "give the capture time in seconds, or leave out the column")
        return float(number) if stamp is None else stamp

    def _point(self, lat_column: str, lon_column: str) -> LatLon | None:
        lat, lon = self._number(lat_column, -90.0, 90.0), self._number(lon_column, -360.0, 360.0)
        if lat is None and lon is None:
            return None
        if lat is None or lon is None:
            missing = lat_column if lat is None else lon_column
            raise self._error(missing, "", f"give both {lat_column} and {lon_column}, or neither")
        return LatLon(lat, lon)

    def _number(self, column: str, low: float = -math.inf, high: float = math.inf) -> float | None:
        text = (self.row.get(column) or "").strip()
        if not text:
            return None
        try:
            value = float(text)
        except ValueError:
            raise self._error(column, text, "give a number, or leave it empty where unknown") from None
        if not math.isfinite(value) or not low <= value <= high:
            raise self._error(
                column, text, f"give a number within {low:g} .. {high:g}, or leave it empty where unknown"
            )
        return value

    def _error(self, column: str, value: str, remedy: str) -> FlightError:
        return FlightError(f"{self.path}, line {self.line}, column {column}: {value!r}; {remedy}")
