"""What a run was started with: command, git revision, versions and machine. Nothing here can fail a training."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("torch", "torchvision", "timm", "numpy")
UNKNOWN = "unknown"


def describe() -> dict[str, Any]:
    """The state of this process as plain JSON values; what cannot be found out is `unknown`."""
    return {
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": command_line(sys.argv, int(os.environ.get("WORLD_SIZE", "1"))),  # as torchrun tells
        **git_state(Path(__file__).parent),
        "python": platform.python_version(),
        **{name: package_version(name) for name in PACKAGES},
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
    }


def command_line(arguments: list[str], processes: int) -> str:
    """The shell command that started a training with these `sys.argv`; unknown if another program did."""
    if Path(arguments[0]).name != "train.py":
        return UNKNOWN
    program = ["torchrun", f"--nproc-per-node={processes}"] if processes > 1 else ["python"]
    return shlex.join([*program, "-m", "training.train", *arguments[1:]])


def git_state(folder: Path) -> dict[str, str]:
    """`revision` (40 digits) and `tree` (clean or dirty) of the repository that a folder lies in."""
    revision, changes = _git(folder, "rev-parse", "HEAD"), _git(folder, "status", "--porcelain")
    tree = UNKNOWN if changes is None else "dirty" if changes else "clean"
    return {"revision": revision or UNKNOWN, "tree": tree if revision else UNKNOWN}


def package_version(name: str) -> str:
    """Of an installed distribution."""
    try:
        return version(name)
    except PackageNotFoundError:
        return UNKNOWN


def cpu_name() -> str:
    """The processor as Linux names it, or at least its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine() or UNKNOWN


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603 - fixed words only
            ["git", "-C", str(folder), *arguments],  # noqa: S607 - where git lies is the user's business
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
