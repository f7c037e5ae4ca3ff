"""Weights files: what is written comes back, and what is wrong is named."""

from __future__ import annotations

import json
import os
import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from lkpan_model import checkpoint
from lkpan_model.errors import CheckpointError
from lkpan_model.network import LKPAN
from test.model.conftest import SMALL_LITE, calibrated

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def network() -> LKPAN:
    return calibrated(SMALL_LITE)


@pytest.fixture(scope="module")
def weights(network: LKPAN, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "mine.safetensors"
    checkpoint.save(path, network, SMALL_LITE, metadata={"recipe": "none"})
    return path


def read_header(path: Path) -> tuple[dict[str, Any], bytes]:
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def write_header(path: Path, header: dict[str, Any], body: bytes) -> Path:
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)
    return path


def with_metadata(weights: Path, target: Path, **changes: str) -> Path:
    header, body = read_header(weights)
    header["__metadata__"].update(changes)
    return write_header(target, header, body)


def test_full_precision_comes_back_bit_for_bit(network: LKPAN, tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "w.safetensors", network.state_dict(), SMALL_LITE, half=False)
    state = checkpoint.load(tmp_path / "w.safetensors").network().state_dict()
    for name, tensor in network.state_dict().items():
        assert torch.equal(state[name], tensor), name


def test_half_precision_is_small_and_comes_back_as_float32(network: LKPAN, weights: Path) -> None:
    loaded = checkpoint.load(weights, "small-lite")
    assert loaded.config == SMALL_LITE
    assert loaded.metadata == {"recipe": "none"}
    assert weights.stat().st_size < 600e3
    assert {t.dtype for t in loaded.state.values()} == {torch.float32, torch.int64}
    images = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert (loaded.network()(images) * network(images)).sum(1).min() > 0.99999


def test_hash_names_the_weights_and_not_the_notes(network: LKPAN, weights: Path, tmp_path: Path) -> None:
    first = checkpoint.load(weights).weights_hash
    checkpoint.save(
        tmp_path / "again.safetensors", checkpoint.load(weights).state, SMALL_LITE, metadata={"other": "note"}
    )
    assert checkpoint.load(tmp_path / "again.safetensors").weights_hash == first
    state = dict(network.state_dict())
    name = next(iter(state))
    state[name] = state[name] + 0.01
    checkpoint.save(tmp_path / "other.safetensors", state, SMALL_LITE)
    assert checkpoint.load(tmp_path / "other.safetensors").weights_hash != first


def test_channels_last_training_network_can_be_saved(network: LKPAN, weights: Path, tmp_path: Path) -> None:
    trained = LKPAN(SMALL_LITE)
    trained.load_state_dict(network.state_dict())
    checkpoint.save(tmp_path / "w.safetensors", trained.to(memory_format=torch.channels_last), SMALL_LITE)
    assert checkpoint.load(tmp_path / "w.safetensors").weights_hash == checkpoint.load(weights).weights_hash


def test_loaded_network_can_be_trained_on_without_touching_the_next(weights: Path) -> None:
    first, second = checkpoint.load(weights).network(), checkpoint.load(weights).network()
    with torch.no_grad():
        for parameter in first.parameters():
            assert parameter.requires_grad
            parameter.add_(1.0)
    before = checkpoint.load(weights).state
    assert all(torch.equal(before[name], tensor) for name, tensor in second.state_dict().items())


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no weights file at .*gone\.safetensors"):
        checkpoint.load(tmp_path / "gone.safetensors")


@pytest.mark.parametrize("kept", [0, 7, 8, 1000, 20_000, -1])
def test_truncated_file_is_refused(weights: Path, tmp_path: Path, kept: int) -> None:
    (tmp_path / "cut.safetensors").write_bytes(weights.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match=r"cut\.safetensors is truncated"):
        checkpoint.load(tmp_path / "cut.safetensors")


@pytest.fixture(scope="module")
def original(weights: Path) -> checkpoint.Checkpoint:
    return checkpoint.load(weights)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_any_altered_byte_is_refused_or_harmless(
    weights: Path, original: checkpoint.Checkpoint, data: st.DataObject
) -> None:
    content = bytearray(weights.read_bytes())
    header_end = 8 + struct.unpack("<Q", content[:8])[0]
    first_metadata = content.find(b"__metadata__")
    spots = st.one_of(
        st.integers(0, header_end - 1),
        st.integers(first_metadata, min(first_metadata + 700, header_end - 1)),
        st.integers(header_end, len(content) - 1),
    )
    content[data.draw(spots)] ^= 1 << data.draw(st.integers(0, 7))
    altered = weights.with_name("altered.safetensors")
    altered.write_bytes(content)
    try:
        loaded = checkpoint.load(altered)
    except CheckpointError:
        return
    assert (loaded.config, loaded.weights_hash, loaded.metadata) == (
        original.config, original.weights_hash, original.metadata,
    )  # fmt: skip
    assert all(torch.equal(loaded.state[name], tensor) for name, tensor in original.state.items())


def test_swapped_notes_are_noticed(weights: Path, tmp_path: Path) -> None:
    path = with_metadata(weights, tmp_path / "w.safetensors", recipe="a better one")
    with pytest.raises(CheckpointError, match="altered or damaged"):
        checkpoint.load(path)


def test_future_version_asks_for_an_upgrade(weights: Path, tmp_path: Path) -> None:
    path = with_metadata(weights, tmp_path / "w.safetensors", format_version="2")
    with pytest.raises(CheckpointError, match=r"format version 2, this package reads up to 1: upgrade"):
        checkpoint.load(path)


@pytest.mark.parametrize("version", ["", "one", "0", "-1", "1.0", "²"])
def test_senseless_version_is_named(weights: Path, tmp_path: Path, version: str) -> None:
    path = with_metadata(weights, tmp_path / "w.safetensors", format_version=version)
    with pytest.raises(CheckpointError, match="format version"):
        checkpoint.load(path)


@pytest.mark.parametrize(
    "config",
    ["", "[]", "{}", "nonsense", "[" * 100_000, json.dumps({**SMALL_LITE.to_dict(), "image_size": 1 << 60})],
)
def test_senseless_config_is_named(weights: Path, tmp_path: Path, config: str) -> None:
    path = with_metadata(weights, tmp_path / "w.safetensors", config=config)
    with pytest.raises(CheckpointError, match="no readable encoder config"):
        checkpoint.load(path)


def test_foreign_safetensors_is_named(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(3)}, tmp_path / "w.safetensors")
    with pytest.raises(CheckpointError, match="no LK-PAN encoder"):
        checkpoint.load(tmp_path / "w.safetensors")


@pytest.mark.parametrize("length", [1 << 62, (1 << 64) - 1, 100_000_000])
def test_lying_header_length_allocates_nothing(weights: Path, tmp_path: Path, length: int) -> None:
    (tmp_path / "w.safetensors").write_bytes(struct.pack("<Q", length) + weights.read_bytes()[8:])
    with pytest.raises(CheckpointError, match="truncated, damaged"):
        checkpoint.load(tmp_path / "w.safetensors")


def test_lying_tensor_shape_allocates_nothing(weights: Path, tmp_path: Path) -> None:
    header, body = read_header(weights)
    name = next(key for key in header if key != "__metadata__")
    header[name]["shape"] = [1 << 31, 1 << 31]
    path = write_header(tmp_path / "w.safetensors", header, body)
    with pytest.raises(CheckpointError, match="truncated, damaged"):
        checkpoint.load(path)


def test_wrong_variant_is_named(weights: Path) -> None:
    with pytest.raises(CheckpointError, match="'small-lite', not 'base'"):
        checkpoint.load(weights, "base")


def test_missing_unknown_and_misshapen_tensors_are_listed(network: LKPAN, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    state = dict(network.state_dict())
    name = "aggregation.heads.3.0.weight"
    with pytest.raises(CheckpointError, match=rf"lacks.*{name}"):
        checkpoint.save(path, {key: t for key, t in state.items() if key != name}, SMALL_LITE)
    with pytest.raises(CheckpointError, match=r"unknown.*surprise"):
        checkpoint.save(path, {**state, "surprise": torch.zeros(1)}, SMALL_LITE)
    with pytest.raises(CheckpointError, match=rf"{name} is .*\(2, 4\), expected \(8, 16\)"):
        checkpoint.save(path, state, replace(SMALL_LITE, image_size=128))
    assert list(tmp_path.iterdir()) == []


def test_diverged_weights_are_not_written(network: LKPAN, tmp_path: Path) -> None:
    state = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    state["aggregation.heads.0.0.weight"][0, 0] = float("nan")
    with pytest.raises(CheckpointError, match=r"heads\.0\.0\.weight .*not finite"):
        checkpoint.save(tmp_path / "w.safetensors", state, SMALL_LITE)


def test_weights_beyond_float16_keep_their_value(network: LKPAN, tmp_path: Path) -> None:
    state = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    state["aggregation.heads.0.0.weight"][0, 0] = 1e6
    checkpoint.save(tmp_path / "w.safetensors", state, SMALL_LITE)
    loaded = checkpoint.load(tmp_path / "w.safetensors").state
    assert loaded["aggregation.heads.0.0.weight"][0, 0] == 1e6


def test_cut_off_write_leaves_the_old_file(
    network: LKPAN, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(weights.read_bytes())

    def disk_full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", disk_full)
    with pytest.raises(CheckpointError, match=r"cannot write .*No space left"):
        checkpoint.save(path, network, SMALL_LITE, half=False)
    assert path.read_bytes() == weights.read_bytes()
    assert list(tmp_path.iterdir()) == [path]


def test_reserved_metadata_and_other_suffix_are_refused(network: LKPAN, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="config"):
        checkpoint.save(tmp_path / "w.safetensors", network, SMALL_LITE, metadata={"config": "mine"})
    with pytest.raises(CheckpointError, match=r"\.safetensors"):
        checkpoint.save(tmp_path / "w.pth", network, SMALL_LITE)


def test_unknown_weights_name_lists_what_is_shipped() -> None:
    with pytest.raises(CheckpointError, match=r"'no-such-weights' \(shipped: "):
        checkpoint.resolve_weights("no-such-weights")


@pytest.mark.parametrize("name", sorted(checkpoint.shipped_weights()))
def test_shipped_weights_load(name: str) -> None:
    path = checkpoint.resolve_weights(name)
    assert checkpoint.load(path, name).config.variant == name
    assert path.stat().st_size <= 12 * 1024 * 1024
    assert path.with_suffix(".md").is_file()


def test_stored_names_are_those_of_the_network(network: LKPAN, weights: Path) -> None:
    assert load_file(weights).keys() == network.state_dict().keys()
