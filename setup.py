"""The package for colcon (ament_python) and pip alike; versions of what it needs stand in requirements/."""

from pathlib import Path

from setuptools import setup

NAME = "lkpan_ros"


def files(pattern: str) -> list[str]:
    """The files that a pattern names, as setuptools wants them: relative to this file."""
    return sorted(str(path) for path in Path().glob(pattern) if path.is_file())


setup(
    name=NAME,
    version="0.1.0",
    description="Onboard visual geo-localization of drones: a camera frame in, an honest geographic fix out",
    license="Apache-2.0",
    maintainer="lkpan_ros maintainers",
    maintainer_email="maintainers@lkpan-ros.invalid",
    python_requires=">=3.10,<3.14",
    packages=[
        "lkpan_model",
        "lkpan_model.engines",
        "lkpan_ros",
        "lkpan_ros.localization",
        "lkpan_ros.node",
        "lkpan_ros.simulation",
        "lkpan_ros.tools",
    ],
    package_data={
        "lkpan_model": ["weights/*.safetensors", "weights/*.md"],
        "lkpan_ros.tools": ["report_page/*"],
    },
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        (f"share/{NAME}/launch", files("launch/*.launch.py")),
        (f"share/{NAME}/config", files("config/*")),
        (f"share/{NAME}/requirements", files("requirements/*.txt")),
        (f"lib/{NAME}", files("scripts/*")),
    ],
    zip_safe=False,
)
