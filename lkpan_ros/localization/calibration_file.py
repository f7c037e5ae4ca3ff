"""The file that carries calibrated settings to the localizer: JSON, checked in every key and by a checksum.

{"format": "lkpan_calibration", "version": 2, "settings": {"similarity.temperature": 0.03}, "encoder": "<hash>",
 "fitted_on": ["ariel/flight_0019"], "created_by": "lkpan_ros 1.0", "sha256": "<of all the rest>"}
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lkpan_model.whole_file import write_whole
from lkpan_ros.errors import ConfigError
from lkpan_ros.localization.config import LocalizerConfig
from lkpan_ros.localization.settings import settings_of, with_values

if TYPE_CHECKING:
    from lkpan_model.identity import EncoderIdentity
    from lkpan_ros.localization.signature import PublicKey

FORMAT = "lkpan_calibration"
VERSION = 2
SHIPPED = "none"  # as calibration.path: leave the file beside the gallery alone
_MOST_BYTES = 64 * 1024
_LARGEST = 1e300
_KEYS = {"format", "version", "settings", "encoder", "fitted_on", "created_by", "sha256"}
_REMEDY = "copy it again or write it anew with lkpan_ros.tools.calibrate"


@dataclass(frozen=True)
class Calibration:
    """Settings that were fitted on flights with truth.

    Attributes:
        settings: Number by name, as `similarity.temperature`.
        encoder: SHA-256 of the weights that they hold for, hexadecimal (`EncoderIdentity.weights_hash`).
        fitted_on: The flights, for people.
        created_by: Name and version of the software.
    """

    settings: Mapping[str, float]
    encoder: str
    fitted_on: tuple[str, ...]
    created_by: str

    def __post_init__(self) -> None:
        """Check every attribute.

        Raises:
            ConfigError: A setting is unknown, no number or out of range, or another attribute is not as described.
        """
        _check_numbers(self.settings)
        if not (isinstance(self.encoder, str) and re.fullmatch("[0-9a-f]{64}", self.encoder)):
            raise ConfigError(f"encoder = {self.encoder!r}: give the SHA-256 of the weights, 64 hex digits")
        texts = (*self.fitted_on, self.created_by)
        if not all(isinstance(text, str) and text.isprintable() for text in texts):
            raise ConfigError(f"fitted_on and created_by = {texts!r}: give printable texts")


@dataclass(frozen=True)
class CalibrationInUse:
    """The calibration that counts for a localizer.

    Attributes:
        path: Its file; None: the shipped figures, which are the defaults of the settings.
        settings: Number by name.
    """

    path: Path | None = None
    settings: Mapping[str, float] = field(default_factory=dict)

    def apply(self, config: LocalizerConfig) -> LocalizerConfig:
        """The configuration whose settings that stand at their defaults have the file's values."""
        return with_values(config, self._taken(config))

    def describe(self, config: LocalizerConfig) -> str:
        """The file and what is taken from it into a configuration, for people."""
        if self.path is None:
            return "shipped"
        taken = self._taken(config)
        parts = [f"{name} {value:g}" for name, value in taken.items()]
        kept = [name for name in self.settings if name not in taken]
        parts += [f"not {', '.join(kept)}: given"] if kept else []
        return f"{self.path} ({'; '.join(parts) or 'empty'})"

    def _taken(self, config: LocalizerConfig) -> dict[str, float]:
        shipped = {entry.name: entry.default for entry in settings_of(LocalizerConfig())}
        given = {entry.name: entry.default for entry in settings_of(config)}
        return {name: value for name, value in self.settings.items() if given[name] == shipped[name]}


def calibrated(
    config: LocalizerConfig, gallery_path: Path | None, encoder: EncoderIdentity
) -> LocalizerConfig:
    """A configuration with the calibration that counts for it; what the user changed is kept.

    A setting that the user gave its default value cannot be told from one that was not given: it takes the file's.

    Raises:
        ConfigError: As `find_calibration`.
    """
    return find_calibration(config, gallery_path, encoder).apply(config)


def find_calibration(
    config: LocalizerConfig,
    gallery_path: Path | None,
    encoder: EncoderIdentity,
    public_key: PublicKey | None = None,
) -> CalibrationInUse:
    """The calibration in `calibration.path`, else the one beside the gallery, else the shipped figures.

    Raises:
        ConfigError: The file is missing, damaged or altered, or was fitted for other weights.
        SignatureError: A key is given, and the file is not signed with it.
    """
    path = _which(config.calibration.path, gallery_path)
    if path is None:
        return CalibrationInUse()
    calibration = read_calibration(path)
    if public_key is not None:
        public_key.require("calibration", path, content_hash(calibration))
    if calibration.encoder != encoder.weights_hash:
        raise ConfigError(
            f"{path}: was fitted for the weights {calibration.encoder}, those in use are {encoder.weights_hash}; "
            f"write it anew with lkpan_ros.tools.calibrate, or set calibration.path to {SHIPPED}"
        )
    return CalibrationInUse(path, calibration.settings)


def beside(gallery_path: Path) -> Path:
    """Where the calibration of a gallery is looked for: city.gallery -> city.calibration.json."""
    return gallery_path.with_name(f"{gallery_path.stem}.calibration.json")


def write_calibration(path: Path, calibration: Calibration) -> None:
    """Write a calibration; under its name it is whole or not there at all.

    Raises:
        OSError: It cannot be written.
    """
    content = _content(calibration)
    text = json.dumps({**content, "sha256": _checksum(content)}, indent=2, allow_nan=False)
    write_whole(path, f"{text}\n".encode())


def content_hash(calibration: Calibration) -> str:
    """SHA-256, hexadecimal, over all that a calibration says."""
    return _checksum(_content(calibration))


def read_calibration(path: Path) -> Calibration:
    """Read a calibration and verify it.

    Raises:
        ConfigError: The file is missing, no calibration, of a future version, damaged or altered, or names a setting
            that there is not or a value that the setting cannot have.
    """
    content = _parse(path)
    version = content.get("version")
    if content.get("format") != FORMAT:
        raise ConfigError(f"{path}: is no calibration (format {content.get('format')!r}); {_REMEDY}")
    if version != VERSION:
        raise ConfigError(f"{path}: is of version {version!r}, this software reads {VERSION}; {_REMEDY}")
    if content.keys() != _KEYS:
        wrong = ", ".join(sorted(content.keys() ^ _KEYS))
        raise ConfigError(f"{path}: has other keys than a calibration ({wrong}); {_REMEDY}")
    stated = content.pop("sha256")
    if stated != _checksum(content):
        raise ConfigError(f"{path}: its content was altered (SHA-256 {stated!r} is not its own); {_REMEDY}")
    try:
        return Calibration(
            content["settings"], content["encoder"], _texts(content["fitted_on"]), content["created_by"]
        )
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}; {_REMEDY}") from error


def _which(given: str, gallery_path: Path | None) -> Path | None:
    if given:
        return None if given == SHIPPED else Path(given).expanduser()
    if gallery_path is None or not beside(gallery_path).exists():
        return None
    return beside(gallery_path)


def _texts(values: object) -> tuple[Any, ...]:
    if not isinstance(values, list):
        raise ConfigError(f"fitted_on = {values!r}: give a list of texts")
    return tuple(values)


def _check_numbers(settings: object) -> None:
    if not isinstance(settings, Mapping):
        raise ConfigError(f"settings = {settings!r}: give numbers by name")
    for name, value in settings.items():
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not (number and abs(value) < _LARGEST):  # asked this way round, NaN is none
            raise ConfigError(f"{name} = {value!r:.40}: a calibration carries finite numbers only")
    with_values(LocalizerConfig(), settings)


def _content(calibration: Calibration) -> dict[str, Any]:
    plain = {**asdict(calibration), "fitted_on": list(calibration.fitted_on)}
    return {"format": FORMAT, "version": VERSION, **plain}


def _checksum(content: Mapping[str, Any]) -> str:
    """Over the canonical text: white space and the order of keys do not count."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _parse(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ConfigError(
            f"{path}: there is no such file; write it with lkpan_ros.tools.calibrate, or set calibration.path to {SHIPPED}"
        )
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES + 1)
        if len(text) > _MOST_BYTES:
            raise ConfigError(
                f"{path}: is longer than {_MOST_BYTES} bytes, which no calibration is; {_REMEDY}"
            )
        content = json.loads(text.decode("utf-8"), object_pairs_hook=_once)
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: cannot be read as JSON ({error}); {_REMEDY}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: is no calibration; {_REMEDY}")
    return content


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("a key stands there twice")
    return content
