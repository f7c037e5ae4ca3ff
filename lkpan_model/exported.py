"""Networks exported for other libraries, and what is known of them: a JSON file beside each.

`NAME.onnx` or `NAME.xml` with `NAME.bin`, and `NAME.onnx.json` or `NAME.xml.json`: `format` "lkpan-exported",
`format_version` 1, `identity` as of `EncoderIdentity`, `precision`, and `files`, the SHA-256 of each by its name.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lkpan_model.errors import CheckpointError, ConfigError
from lkpan_model.identity import EncoderIdentity
from lkpan_model.whole_file import write_whole

if TYPE_CHECKING:
    from pathlib import Path

FORMAT, FORMAT_VERSION = "lkpan-exported", 1
SUFFIXES = (".onnx", ".xml")
PRECISIONS = ("fp32", "int8")


@dataclass(frozen=True)
class Exported:
    """An exported network.

    Attributes:
        path: The file that an engine reads.
        identity: Of the encoder that it was made from.
        precision: fp32 or int8.
    """

    path: Path
    identity: EncoderIdentity
    precision: str


def write_manifest(exported: Exported) -> Path:
    """Write what is known of a network beside it, and return where.

    Raises:
        CheckpointError: It cannot be written.
    """
    content = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "identity": exported.identity.to_dict(),
        "precision": exported.precision,
        "files": {path.name: _sha256(path) for path in _files(exported.path)},
    }
    manifest = manifest_path(exported.path)
    try:
        write_whole(manifest, (json.dumps(content, indent=1) + "\n").encode())
    except OSError as error:
        raise CheckpointError(f"cannot write {manifest}: {error}") from error
    return manifest


def read(path: Path) -> Exported:
    """What is known of an exported network, whose files are checked against their sums.

    Raises:
        CheckpointError: Nothing is known of it, or a file is missing, damaged or of a future version.
    """
    manifest = manifest_path(path)
    try:
        content = json.loads(manifest.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(
            f"{path} has no {manifest.name} beside it: export it again, or copy both"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{manifest} cannot be read: {error}") from error
    exported, sums = _parse(content, path, manifest)
    for file in _files(path):
        if not file.is_file() or sums.get(file.name) != _sha256(file):
            raise CheckpointError(
                f"{file} is missing, or not the one that {manifest.name} was written for: export it again"
            )
    return exported


def _parse(content: Any, path: Path, manifest: Path) -> tuple[Exported, dict[str, str]]:
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(f"{manifest} does not describe an exported network")
    if content.get("format_version") != FORMAT_VERSION:
        raise CheckpointError(
            f"{manifest} has format version {content.get('format_version')!r}, this package reads {FORMAT_VERSION}"
        )
    precision, files = content.get("precision"), content.get("files")
    if (
        precision not in PRECISIONS
        or not isinstance(files, dict)
        or not isinstance(content.get("identity"), dict)
    ):
        raise CheckpointError(f"{manifest} lacks identity, precision or files, or they are of the wrong type")
    try:
        return Exported(path, EncoderIdentity.from_dict(content["identity"]), precision), files
    except (ConfigError, TypeError) as error:
        raise CheckpointError(f"{manifest} has no readable identity: {error}") from error


def manifest_path(path: Path) -> Path:
    """The file that says what is known of an exported network."""
    return path.with_name(f"{path.name}.json")


def _files(path: Path) -> list[Path]:
    return [path] if path.suffix == ".onnx" else [path, path.with_suffix(".bin")]


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
