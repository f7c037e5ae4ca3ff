"""Signatures: what the owner of the key signed is taken, and nothing else."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from lkpan_ros.errors import SignatureError
from lkpan_ros.localization.calibration_file import (
    Calibration,
    beside,
    find_calibration,
    read_calibration,
    write_calibration,
)
from lkpan_ros.localization.calibration_file import content_hash as calibration_hash
from lkpan_ros.localization.config import LocalizerConfig
from lkpan_ros.localization.gallery import Gallery
from lkpan_ros.localization.signature import (
    PublicKey,
    make_keys,
    read_private_key,
    read_public_key,
    write_signature,
)
from test.localization.galleries import IDENTITY, grid_gallery

if TYPE_CHECKING:
    from pathlib import Path

HASH = "0123456789abcdef" * 4


class Owner:
    """Who has a key pair."""

    def __init__(self, folder: Path, name: str) -> None:
        self.public = make_keys(folder / f"{name}.key", folder / f"{name}.pub")
        self.private = read_private_key(folder / f"{name}.key")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="module")
def owner(keys: Path) -> Owner:
    return Owner(keys, "mission")


@pytest.fixture(scope="module")
def stranger(keys: Path) -> Owner:
    return Owner(keys, "stranger")


@pytest.fixture
def signed(owner: Owner, tmp_path: Path) -> Path:
    """A gallery with its signature."""
    path = tmp_path / "city.gallery"
    gallery = grid_gallery(0, 5)
    gallery.save(path)
    write_signature(tmp_path / "city.gallery.sig", owner.private, "gallery", gallery.content_hash)
    return path


def test_a_signed_gallery_is_read(signed: Path, owner: Owner) -> None:
    assert len(Gallery.load(signed, IDENTITY, public_key=owner.public)) == 5


def test_an_unsigned_gallery_is_refused(signed: Path, owner: Owner) -> None:
    signed.with_name("city.gallery.sig").unlink()
    with pytest.raises(
        SignatureError, match=r"city\.gallery: is not signed .*mission\.pub asks for it; sign it"
    ):
        Gallery.load(signed, IDENTITY, public_key=owner.public)


def test_another_gallery_under_the_same_name_is_refused(signed: Path, owner: Owner) -> None:
    """It is whole, its checksum holds: only the signature tells."""
    grid_gallery(1, 5).save(signed)
    assert len(Gallery.load(signed, IDENTITY)) == 5
    with pytest.raises(SignatureError, match=r"is not what .*city\.gallery\.sig was made for"):
        Gallery.load(signed, IDENTITY, public_key=owner.public)


def test_a_stranger_s_signature_is_refused(signed: Path, owner: Owner, stranger: Owner) -> None:
    digest = Gallery.load(signed).content_hash
    write_signature(signed.with_name("city.gallery.sig"), stranger.private, "gallery", digest)
    with pytest.raises(
        SignatureError, match=rf"is not by the key .*mission\.pub .{owner.public.fingerprint}"
    ):
        Gallery.load(signed, IDENTITY, public_key=owner.public)
    assert len(Gallery.load(signed, IDENTITY, public_key=stranger.public)) == 5


def test_a_signature_for_another_kind_is_refused(owner: Owner, tmp_path: Path) -> None:
    write_signature(tmp_path / "a.sig", owner.private, "weights", HASH)
    owner.public.require("weights", tmp_path / "a", HASH)
    with pytest.raises(SignatureError, match="signed was weights"):
        owner.public.require("gallery", tmp_path / "a", HASH)
    relabelled = (tmp_path / "a.sig").read_text().replace('"weights"', '"gallery"')
    (tmp_path / "a.sig").write_text(relabelled)
    with pytest.raises(SignatureError, match="is not by the key"):
        owner.public.require("gallery", tmp_path / "a", HASH)


def test_shipped_weights_are_signed_beside_the_gallery(owner: Owner, tmp_path: Path) -> None:
    weights, maps = tmp_path / "read_only" / "lite.safetensors", tmp_path / "maps"
    maps.mkdir()
    write_signature(maps / "lite.safetensors.sig", owner.private, "weights", HASH)
    owner.public.require("weights", weights, HASH, maps)
    with pytest.raises(SignatureError, match="not signed"):
        owner.public.require("weights", weights, HASH)


def test_the_calibration_beside_a_gallery_must_be_signed_too(owner: Owner, tmp_path: Path) -> None:
    path = beside(tmp_path / "city.gallery")
    write_calibration(path, Calibration({"similarity.temperature": 0.03}, IDENTITY.weights_hash, (), "test"))
    arguments = (LocalizerConfig(), tmp_path / "city.gallery", IDENTITY)
    assert find_calibration(*arguments).path == path
    with pytest.raises(SignatureError, match=r"city\.calibration\.json: is not signed"):
        find_calibration(*arguments, owner.public)
    write_signature(
        path.with_name(f"{path.name}.sig"),
        owner.private,
        "calibration",
        calibration_hash(read_calibration(path)),
    )
    assert find_calibration(*arguments, owner.public).path == path


@given(st.data())
def test_any_altered_signature_is_refused_by_name_or_harmless(
    owner: Owner, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp()
    write_signature(folder / "a.sig", owner.private, "weights", HASH)
    content = bytearray((folder / "a.sig").read_bytes())
    original = json.loads(content)
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (folder / "a.sig").write_bytes(content)
    try:
        owner.public.require("weights", folder / "a", HASH)
    except SignatureError:
        return
    assert json.loads(content.lower()) == original  # white space, or the case of a digit


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff", b"[]", b"[" * 100_000, b"{" + b" " * 20_000 + b"}", b'{"format": "lkpan_signature"}']
    + [
        json.dumps({"format": "lkpan_signature", "version": 1, "kind": "weights", "sha256": HASH, "signature": s}).encode()
        for s in (7, None, "zz", "00", ["a"])
    ],
)  # fmt: skip
def test_what_is_no_signature_is_named(owner: Owner, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.sig").write_bytes(content)
    with pytest.raises(SignatureError, match=r"a\.sig"):
        owner.public.require("weights", tmp_path / "a", HASH)


def test_the_private_key_is_its_owner_s_alone_and_never_replaced(tmp_path: Path) -> None:
    make_keys(tmp_path / "a.key", tmp_path / "a.pub")
    assert stat.S_IMODE((tmp_path / "a.key").stat().st_mode) == 0o600
    before = (tmp_path / "a.key").read_bytes()
    with pytest.raises(SignatureError, match=r"a\.key: exists"):
        make_keys(tmp_path / "a.key", tmp_path / "other.pub")
    assert (tmp_path / "a.key").read_bytes() == before
    assert not (tmp_path / "other.pub").exists()


def pem(kind: str) -> bytes:
    key: Any = rsa.generate_private_key(65537, 2048)
    encoding = serialization.Encoding.PEM
    if kind == "private":
        return bytes(
            key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )
    return bytes(key.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo))


def test_what_is_no_ed25519_key_is_named(tmp_path: Path) -> None:
    for content in (
        b"",
        b"no key",
        b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        b"x" * 20_000,
    ):
        (tmp_path / "a").write_bytes(content)
        with pytest.raises(SignatureError, match="no readable key"):
            read_public_key(tmp_path / "a")
        with pytest.raises(SignatureError, match="no readable key"):
            read_private_key(tmp_path / "a")
    (tmp_path / "a").write_bytes(pem("public"))
    with pytest.raises(SignatureError, match="no Ed25519 key"):
        read_public_key(tmp_path / "a")
    (tmp_path / "a").write_bytes(pem("private"))
    with pytest.raises(SignatureError, match="no Ed25519 key"):
        read_private_key(tmp_path / "a")
    with pytest.raises(SignatureError, match="gone"):
        read_public_key(tmp_path / "gone")


def test_fingerprints_tell_keys_apart(owner: Owner, stranger: Owner, keys: Path) -> None:
    assert owner.public.fingerprint != stranger.public.fingerprint
    again: PublicKey = read_public_key(keys / "mission.pub")
    assert again.fingerprint == owner.public.fingerprint
