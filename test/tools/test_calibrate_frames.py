"""The frames of a flight that `calibrate --output` keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from lkpan_ros.errors import FlightError
from lkpan_ros.tools import calibrate

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("lengths", [np.array(["two", "three"]), np.zeros((2, 2)), np.array([1.5])])
def test_frames_that_are_none_are_refused(tmp_path: Path, lengths: np.ndarray) -> None:  # type: ignore[type-arg]
    np.savez(tmp_path / "a.npz", lengths=lengths, quality=np.zeros(3))
    with pytest.raises(FlightError, match=r"a\.npz: no frames of a flight"):
        calibrate._read(tmp_path / "a.npz")
