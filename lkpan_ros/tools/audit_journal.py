"""What an audit that was cut off leaves for the next: the passes that were flown, a line of JSON each."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from lkpan_ros.tools.audit_flights import PlaceFigures

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class PassJournal:
    """Passes on disk, for a run with the same gallery, weights and settings.

    Args:
        path: Of the journal. One of another run is replaced at the first `add`.
        key: What decides the figures, as JSON can say it.
    """

    def __init__(self, path: Path, key: Mapping[str, Any]) -> None:
        self._path = path
        self._head = json.dumps(key, sort_keys=True)
        self.places: dict[int, PlaceFigures] = {}
        lines = self._lines()
        if lines and lines[0] == self._head:
            self.places = {place.tile: place for place in map(_parsed, lines[1:]) if place}
        self._begun = False

    def add(self, place: PlaceFigures) -> None:
        """Keep one more pass."""
        self.places[place.tile] = place
        if self._begun:
            with self._path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(asdict(place)) + "\n")
        else:  # anew, since a run that was cut off may have left half a line
            kept = [json.dumps(asdict(known)) for known in self.places.values()]
            self._path.write_text("\n".join([self._head, *kept]) + "\n", encoding="utf-8")
            self._begun = True

    def remove(self) -> None:
        """Nothing is left to go on with."""
        self._path.unlink(missing_ok=True)

    def _lines(self) -> list[str]:
        try:
            return self._path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            return []


def _parsed(line: str) -> PlaceFigures | None:
    """One pass, or None for half a line."""
    try:
        values = json.loads(line)
        return PlaceFigures(**{**values, "view_errors_m": tuple(values["view_errors_m"])})
    except (ValueError, TypeError, KeyError):
        return None
