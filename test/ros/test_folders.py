"""Who can set parameters can name files in the configured folders alone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from lkpan_ros.errors import ConfigError
from lkpan_ros.localization.config import LocalizerConfig
from lkpan_ros.localization.settings import settings_of, with_values
from lkpan_ros.node.folders import FILES, Folders
from lkpan_ros.node.parameters import NodeConfig

if TYPE_CHECKING:
    from pathlib import Path

# Texts of the localizer that are no files.
LABELS = {"encoder.device", "gallery.index", "fix.frame_id", "fix.view_frame_id", "fix.map_frame_id"}


def config(**values: object) -> LocalizerConfig:
    return with_values(LocalizerConfig(), {name.replace("__", "."): str(v) for name, v in values.items()})


@pytest.fixture
def maps(tmp_path: Path) -> Path:
    (tmp_path / "maps").mkdir()
    return tmp_path / "maps"


def test_files_of_the_start_s_folders_may_be_named(maps: Path) -> None:
    start = config(gallery__path=maps / "a.gallery")
    folders = Folders("", start)
    folders.check(start, config(gallery__path=maps / "b.gallery"))
    folders.check(
        start, config(gallery__path=maps / "deeper" / "b.gallery", calibration__path=maps / "c.json")
    )
    folders.check(start, config(gallery__path="", calibration__path="none", encoder__weights="base"))


@pytest.mark.parametrize("setting", sorted(FILES))
def test_files_elsewhere_may_not(maps: Path, setting: str) -> None:
    start = config(gallery__path=maps / "a.gallery")
    (maps / "link").symlink_to("/etc")
    for path in (
        "/etc/shadow",
        f"{maps}/../x",
        f"{maps}",
        f"{maps}/link/shadow",
        "x",
        "~root/x",
        "~no-one/x",
        "a\0b",
    ):
        with pytest.raises(ConfigError, match=f"{setting} = .*outside the folders .*files.folders"):
            Folders("", start).check(start, config(**{setting.replace(".", "__"): path}))


def test_named_folders_replace_those_of_the_start(maps: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    start = config(gallery__path=maps / "a.gallery")
    folders = Folders(f"{tmp_path}/other:{tmp_path}/third", start)
    folders.check(
        start, config(gallery__path=tmp_path / "other" / "b", encoder__weights=tmp_path / "third" / "w")
    )
    with pytest.raises(ConfigError, match="outside"):
        folders.check(start, config(gallery__path=maps / "b.gallery"))
    folders.check(start, replace(start, gate=replace(start.gate, radius_m=20.0)))  # what is in use stays


def test_without_files_at_the_start_none_may_be_named(maps: Path) -> None:
    with pytest.raises(ConfigError, match="none"):
        Folders("", LocalizerConfig()).check(LocalizerConfig(), config(gallery__path=maps / "a.gallery"))


def test_every_text_that_can_be_set_is_a_file_a_choice_or_a_label() -> None:
    """A new setting that names a file must come under the same rule."""
    texts = {
        entry.name
        for part in (LocalizerConfig(), NodeConfig())
        for entry in settings_of(part)
        if isinstance(entry.default, str) and not entry.choices and not entry.read_only
    }
    assert texts == set(FILES) | LABELS
