"""The folders that files may be named in by parameters: who can set parameters must not read all of the disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lkpan_model.config import VARIANTS
from lkpan_ros.errors import ConfigError
from lkpan_ros.localization.calibration_file import SHIPPED
from lkpan_ros.localization.paths import inside
from lkpan_ros.localization.settings import settings_of

if TYPE_CHECKING:
    from lkpan_ros.localization.config import LocalizerConfig

# The settings that name a file, and the words that stand for none.
FILES = {"gallery.path": ("",), "encoder.weights": tuple(VARIANTS), "calibration.path": ("", SHIPPED)}


class Folders:
    """Where files may be named after the start of a node.

    Args:
        given: Folders, separated by colons; empty: those of the files that are named at the start.
        config: The settings at the start.
    """

    def __init__(self, given: str, config: LocalizerConfig) -> None:
        named = [_absolute(text).parent for text in _files(config).values()]
        chosen = [_absolute(text) for text in given.split(":") if text]
        self._folders = tuple(dict.fromkeys(folder.resolve() for folder in chosen or named))

    def check(self, now: LocalizerConfig, wanted: LocalizerConfig) -> None:
        """Refuse settings that name a file anywhere else, unless it is in use already.

        Raises:
            ConfigError: The message names setting, value and remedy.
        """
        before = _files(now)
        for name, text in _files(wanted).items():
            path = str(_absolute(text))
            if text != before.get(name) and not any(inside(folder, path) for folder in self._folders):
                folders = ":".join(map(str, self._folders)) or "none"
                raise ConfigError(
                    f"{name} = {text!r}: is outside the folders that files may be named in ({folders}); "
                    "start the node with files.folders to allow others"
                )


def _absolute(text: str) -> Path:
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError:  # no such user
        return Path(text).absolute()


def _files(config: LocalizerConfig) -> dict[str, str]:
    """Path by setting, of those that name a file."""
    values = {entry.name: str(entry.default) for entry in settings_of(config)}
    return {name: values[name] for name, words in FILES.items() if values[name] not in words}
