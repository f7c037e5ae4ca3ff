"""What every test may use."""

from __future__ import annotations

import os
from pathlib import Path

# Tests run in as many processes as there are cores, and start more: libraries that share their work among threads would
# wait for one another. Read at the import of torch, NumPy, FAISS and OpenCV; the processes that tests start inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENCV_FOR_THREADS_NUM", "1")

import pytest
from hypothesis import settings

# A loaded machine must not fail a test: none has a time limit.
settings.register_profile("no_deadline", deadline=None)
settings.load_profile("no_deadline")

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real imagery beside the repository; tests that use it are skipped where there is none."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    return folder
