"""The writer of Offset-1652 stopped from outside: killed, interrupted, out of disk."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from test.training.offset_tree import TWO, files, make_source, manifest, refused, run
from training.images import read_image
from training.offsets import parse_variants

if TYPE_CHECKING:
    from collections.abc import Callable

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def start(*arguments: object, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "training.offset1652", *map(str, arguments)]
    return subprocess.Popen(
        command,
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    )


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        assert process is None or process.poll() is None, "it ended before it could be stopped"
        time.sleep(0.005)


def is_group_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def lines(out: Path) -> int:
    return (out / "manifest.jsonl").read_bytes().count(b"\n") if (out / "manifest.jsonl").exists() else 0


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A source that takes a while, and what an undisturbed run makes of it."""
    folder = tmp_path_factory.mktemp("large")
    source = make_source(folder / "source", 30, (".jpeg",))
    assert run(source, folder / "whole", "--workers", 2) == 0
    return source, files(folder / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_was_cut_off_goes_on(
    large: tuple[Path, dict[str, str]], out: Path, how: signal.Signals
) -> None:
    source, whole = large
    process = start(source, out, "--workers", 2)
    wait_until(lambda: lines(out) > 3, process)
    if how == signal.SIGKILL:
        process.kill()  # the parent alone: its workers must notice
    else:
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    errors = process.communicate()[1]
    wait_until(lambda: not is_group_alive(process.pid))
    assert process.returncode == (-9 if how == signal.SIGKILL else 130)
    assert "Traceback" not in errors
    for name, content in files(out).items():  # no half-written file under its name
        assert name == "manifest.jsonl" or name.endswith(".tmp") or content == whole[name]
    done = {entry["source"] for entry in manifest(out)[1:]}
    assert 0 < len(done) < 30
    kept = {
        path: path.stat().st_mtime_ns
        for path in out.rglob("*.jpeg")
        if str(path.relative_to(path.parents[1])) in done
    }
    assert run(source, out, "--workers", 2) == 0
    assert files(out) == whole
    assert kept
    assert {path: path.stat().st_mtime_ns for path in kept} == kept  # what was done was not done again


@pytest.mark.slow
def test_a_second_run_at_the_same_time_is_refused(
    large: tuple[Path, dict[str, str]], out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    process = start(large[0], out, "--workers", 1)
    try:
        wait_until(lambda: lines(out) > 0, process)
        assert "another run" in refused(capsys, large[0], out)
    finally:
        process.kill()
        process.communicate()


def check_goes_on(source: Path, out: Path, stopped: subprocess.Popen[str], reason: str) -> None:
    """A run that could not write tells the file and the reason, leaves nothing torn, and goes on later."""
    errors = stopped.communicate()[1]
    message = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert stopped.returncode == 2
    assert len(message) == 1
    assert str(out) in message[0]
    assert reason in message[0]
    assert not list(out.rglob("*.tmp"))
    for path in out.rglob("*.png"):
        variant = parse_variants(path.relative_to(out).parts[0])[0]
        assert np.array_equal(read_image(path), read_image(source / path.parent.name / path.name, variant))


def test_a_file_that_cannot_be_written_whole_is_named(tmp_path: Path, out: Path) -> None:
    source = make_source(tmp_path / "source", 2, (".png",))
    limit = 100_000  # bytes a file may have: less than a crop needs
    stopped = start(
        source, out, *TWO, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    )
    check_goes_on(source, out, stopped, "File too large")
    assert not list(out.rglob("*.png"))
    assert run(source, out, *TWO) == 0
    assert run(source, out, "--verify") == 0


@pytest.mark.slow
def test_a_full_disk_is_named_and_the_run_goes_on_when_there_is_room(tmp_path: Path) -> None:
    source = make_source(tmp_path / "source", 3, (".png",))
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk can be mounted by root only")
    try:
        out = disk / "out"
        check_goes_on(source, out, start(source, out), "No space left on device")
        assert len(list(out.rglob("*.png"))) > 40
        subprocess.run(["mount", "-o", "remount,size=200m", str(disk)], check=True)
        assert run(source, out) == 0
        assert run(source, out, "--verify") == 0
    finally:
        subprocess.run(["umount", str(disk)], check=True)
