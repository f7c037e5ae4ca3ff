"""Ed25519 signatures of galleries, weights and calibrations: who made a file, where a checksum only says that it is whole.

A signature has a file of its own, NAME.sig, beside what it is for:
{"format": "lkpan_signature", "version": 1, "kind": "gallery", "sha256": "<content hash>", "signature": "<hexadecimal>"}.
Signed is the line `lkpan_signature 1 gallery <content hash>`. The hash is that of the content in memory, which every
reader computes anyway: so what is used is what was verified, whatever happens to the file meanwhile.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from lkpan_model.whole_file import write_whole
from lkpan_ros.errors import SignatureError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Kind = Literal["gallery", "weights", "calibration"]
FORMAT = "lkpan_signature"
VERSION = 1
_KEYS = {"format", "version", "kind", "sha256", "signature"}
_MOST_BYTES = 16 * 1024  # of a signature or a key


@dataclass(frozen=True)
class PublicKey:
    """What signatures are verified with.

    Attributes:
        key: The key.
        path: Its file.
    """

    key: Ed25519PublicKey
    path: Path

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that tell keys apart, for people."""
        raw = self.key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return hashlib.sha256(raw).hexdigest()[:16]

    def require(self, kind: Kind, file: Path, sha256: str, also_in: Path | None = None) -> None:
        """Refuse a file that the owner of the key did not sign.

        Args:
            kind: What it is.
            file: Its signature is looked for beside it.
            sha256: Hash of its content as it is in memory, hexadecimal.
            also_in: A folder where the signature may be as well: that of shipped weights has no place beside them.

        Raises:
            SignatureError: There is no signature, it is by another key, or it is for another content.
        """
        folders = dict.fromkeys(folder for folder in (file.parent, also_in) if folder)
        places = [folder / signature_name(file) for folder in folders]
        found = next((place for place in places if place.is_file()), None)
        if found is None:
            raise SignatureError(
                f"{file}: is not signed (there is no {' or '.join(map(str, places))}), and {self.path} asks for it; "
                "sign it with lkpan_ros.tools.sign"
            )
        stated = _read_signature(found)
        if (stated["kind"], stated["sha256"]) != (kind, sha256):
            raise SignatureError(
                f"{file}: is not what {found} was made for ({kind} {sha256[:12]}, signed was {stated['kind']:.20} "
                f"{stated['sha256']:.12}); copy both again, or sign it anew"
            )
        try:
            self.key.verify(bytes.fromhex(stated["signature"]), _message(kind, sha256))
        except (InvalidSignature, ValueError) as error:
            raise SignatureError(
                f"{found}: is not by the key {self.path} ({self.fingerprint}); get the file from who owns that key"
            ) from error


def signature_name(file: Path) -> str:
    """Name of the file that holds the signature of another: city.gallery -> city.gallery.sig."""
    return f"{file.name}.sig"


def make_keys(private: Path, public: Path) -> PublicKey:
    """Make a key pair: PEM, the private one (PKCS 8) readable by its owner alone.

    Raises:
        SignatureError: One of the files exists; a key that is replaced is lost.
        OSError: They cannot be written.
    """
    for path in (private, public):
        if path.exists():
            raise SignatureError(f"{path}: exists, and a key that is replaced is lost; give another --output")
    key = Ed25519PrivateKey.generate()
    pem = serialization.Encoding.PEM
    content = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with os.fdopen(os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    shown = key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    write_whole(public, shown)
    return PublicKey(key.public_key(), public)


def read_private_key(path: Path) -> Ed25519PrivateKey:
    """The key that signs.

    Raises:
        SignatureError: The file is missing or no private Ed25519 key.
    """
    key = _read_key(path, lambda data: serialization.load_pem_private_key(data, password=None))
    if not isinstance(key, Ed25519PrivateKey):
        raise SignatureError(f"{path}: is no Ed25519 key; make one with lkpan_ros.tools.sign keygen")
    return key


def read_public_key(path: Path) -> PublicKey:
    """The key that verifies.

    Raises:
        SignatureError: The file is missing or no public Ed25519 key.
    """
    key = _read_key(path, serialization.load_pem_public_key)
    if not isinstance(key, Ed25519PublicKey):
        raise SignatureError(f"{path}: is no Ed25519 key; make one with lkpan_ros.tools.sign keygen")
    return PublicKey(key, path)


def write_signature(path: Path, key: Ed25519PrivateKey, kind: Kind, sha256: str) -> None:
    """Sign a content hash; the signature replaces one that is there.

    Raises:
        OSError: It cannot be written.
    """
    signature = key.sign(_message(kind, sha256)).hex()
    content = {"format": FORMAT, "version": VERSION, "kind": kind, "sha256": sha256, "signature": signature}
    write_whole(path, f"{json.dumps(content, indent=2)}\n".encode())


def _message(kind: str, sha256: str) -> bytes:
    return f"{FORMAT} {VERSION} {kind} {sha256}\n".encode()


def _read_key(path: Path, parse: Callable[[bytes], Any]) -> object:
    try:
        return parse(_read_small(path))
    except FileNotFoundError as error:
        raise SignatureError(
            f"{path}: there is no such key; make one with lkpan_ros.tools.sign keygen"
        ) from error
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SignatureError(
            f"{path}: is no readable key in PEM ({error}); make one with lkpan_ros.tools.sign keygen"
        ) from error


def _read_signature(path: Path) -> dict[str, str]:
    try:
        content = json.loads(_read_small(path).decode("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SignatureError(f"{path}: is no readable signature ({error}); sign the file anew") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise SignatureError(f"{path}: is no signature; sign the file anew")
    if content.get("version") != VERSION:
        raise SignatureError(
            f"{path}: is of version {content.get('version')!r:.40}, this software reads {VERSION}; sign the file anew"
        )
    texts = [value for name, value in content.items() if name != "version"]
    if content.keys() != _KEYS or not all(isinstance(text, str) for text in texts):
        raise SignatureError(f"{path}: lacks parts of a signature; sign the file anew")
    return content


def _read_small(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise ValueError(f"longer than {_MOST_BYTES} bytes")
    return content
