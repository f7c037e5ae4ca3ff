"""Files of this software: galleries, weights, checkpoints, calibrations, signatures, arrays, training configs."""

from __future__ import annotations

import gzip
import io
import json
import struct
import zipfile
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors.numpy
import yaml

from lkpan_model import checkpoint
from lkpan_model.config import EncoderConfig
from lkpan_model.errors import ConfigError
from lkpan_ros.localization import calibration_file, gallery_file
from lkpan_ros.localization.gallery import Gallery
from lkpan_ros.localization.signature import read_public_key
from lkpan_ros.tools import calibrate
from test.fuzz.decoder import Decoder, seeds, write
from test.fuzz.mutation import NUMBERS, damaged, damaged_json, damaged_text
from training import config as training_config

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from random import Random

BACKBONES = ("resnet152", "vit_giant_patch14_dinov2", "convnext_xxlarge", "tf_efficientnet_l2", "eva02_enormous_patch14_clip_224", "swinv2_cr_giant_384", "test_efficientnet", "nfnet_f7", "davit_giant")  # fmt: skip


def _gallery(rng: Random, folder: Path) -> Callable[[], object]:
    path = folder / "a.gallery"
    if rng.random() < 0.4:
        path.write_bytes(damaged(rng, rng.choice(seeds("*.gallery"))))
    else:
        _write_false_gallery(rng, path)
    return lambda: _use_gallery(path)


def _write_false_gallery(rng: Random, path: Path) -> None:
    """A gallery whose checksum holds, and whose content was made by somebody who knows how."""
    path.write_bytes(rng.choice(seeds("*.gallery")))
    info, arrays, _ = gallery_file.read(path)
    arrays = {name: np.array(array[:]) for name, array in arrays.items()}
    if rng.random() < 0.6:
        for _ in range(rng.choice((1, 1, 2))):
            info = damaged_json(rng, info)
    else:
        name = rng.choice(list(arrays))
        arrays[name] = _damaged_array(rng, arrays[name])
        if rng.random() < 0.1:
            del arrays[name]
    text = json.dumps(info)
    if rng.random() < 0.1:
        text = damaged_text(rng, text, '",:')
    gallery_file.write(path, text.replace("\0", ""), arrays)


def _damaged_array(rng: Random, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    fault = rng.randrange(5)
    if fault == 0:
        return values[: rng.randrange(len(values) + 1)]
    if fault == 1:
        return np.ascontiguousarray(values.astype(rng.choice((np.float16, np.float64, np.int64, np.uint8, np.int32))))  # fmt: skip
    if fault == 2:
        return values.reshape(-1) if rng.random() < 0.5 else values[None]
    changed = values.copy()
    flat = changed.reshape(-1).view(np.uint8)
    flat[:] = np.frombuffer(damaged(rng, flat.tobytes())[: flat.size].ljust(flat.size, b"\0"), np.uint8)
    if fault == 3 and changed.dtype.kind == "f" and changed.size:
        changed.reshape(-1)[rng.randrange(changed.size)] = rng.choice((np.nan, np.inf, 60_000, -1e-30, 1e300))
    return changed


def _use_gallery(path: Path) -> None:
    """As a localizer does."""
    gallery = Gallery.load(path)
    queries = np.full((2, gallery.descriptor_dim), gallery.descriptor_dim**-0.5, np.float32)
    matches = gallery.search(queries, 5, turns_deg=(0.0, 90.0))
    gallery.search(queries, 5, near=(0.0, 0.0, 50.0))
    gallery.covers(gallery.positions_m[:3])
    for tile in matches.tile[:2].tolist():
        gallery.footprint(tile)
        gallery.tile_image(tile)
        east, north = gallery.positions_m[tile]
        gallery.window(float(east) + 3.0, float(north), 2 * gallery.tile_size_m, 64)


def _weights(rng: Random, folder: Path) -> Callable[[], object]:
    data = seeds("weights.safetensors.gz")[0]
    way = rng.random()
    if way < 0.35:
        data = damaged(rng, data)
    elif way < 0.7:
        (length,) = struct.unpack("<Q", data[:8])
        header = json.dumps(damaged_json(rng, json.loads(data[8 : 8 + length])))
        header = damaged_text(rng, header, '",:') if rng.random() < 0.3 else header
        text = header.encode("utf-8", "replace")
        data = struct.pack("<Q", len(text) + rng.choice((0, 0, 0, 1, -1))) + text + data[8 + length :]
    else:
        data = _false_weights(rng)
    path = write(folder, "a.safetensors", data)
    return lambda: checkpoint.load(path).network()


@lru_cache
def _true_weights() -> tuple[dict[str, str], dict[str, np.ndarray[Any, Any]]]:
    data = seeds("weights.safetensors.gz")[0]
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length])["__metadata__"], safetensors.numpy.load(data)


def _false_weights(rng: Random) -> bytes:
    """Weights whose hash holds, and whose config was made by somebody who knows how."""
    import torch

    header, arrays = _true_weights()
    values = damaged_json(rng, json.loads(header["config"]))
    if rng.random() < 0.4 and isinstance(values, dict):
        values["backbone"] = rng.choice(BACKBONES)
    arrays = {name: array for name, array in arrays.items() if rng.random() > 0.001}
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    header = {**header, "config": json.dumps(values)}
    try:
        config = EncoderConfig.from_dict(values if isinstance(values, dict) else {})
        header["content_sha256"] = checkpoint._hash_content(config, {}, tensors)
    except (ConfigError, TypeError, ValueError):
        pass
    return safetensors.numpy.save(arrays, {name: value.replace("\0", "") for name, value in header.items()})


def _checkpoint(rng: Random, folder: Path) -> Callable[[], object]:
    path = write(folder, "a.pth", damaged(rng, rng.choice(seeds("*.pth")), seeds("*.pth")))
    return lambda: checkpoint.load(path)


def _calibration(rng: Random, folder: Path) -> Callable[[], object]:
    content = json.loads(seeds("*.calibration.json")[0])
    way = rng.random()
    if way < 0.3:
        text = damaged_text(rng, seeds("*.calibration.json")[0].decode(), '",:\n')
    else:
        content = damaged_json(rng, content)
        if way < 0.9 and isinstance(content, dict):  # somebody who knows how
            content.pop("sha256", None)
            content["sha256"] = calibration_file._checksum(content)
        text = json.dumps(content)
    path = write(folder, "a.calibration.json", text)
    return lambda: calibration_file.read_calibration(path)


def _signature(rng: Random, folder: Path) -> Callable[[], object]:
    signature, key = seeds("a.gallery.sig")[0], seeds("mission.pub")[0]
    way = rng.random()
    if way < 0.4:
        signature = json.dumps(damaged_json(rng, json.loads(signature))).encode()
    elif way < 0.7:
        signature = damaged(rng, signature)
    else:
        key = damaged(rng, key)
    file, path = write(folder, "a.gallery.sig", signature).with_suffix(""), write(folder, "a.pub", key)
    return lambda: read_public_key(path).require("gallery", file, "0123456789abcdef" * 4)


def _arrays(rng: Random, folder: Path) -> Callable[[], object]:
    """What calibrate writes for itself."""
    data = damaged(rng, rng.choice(seeds("arrays.npz")), seeds("arrays.npz"))
    if rng.random() < 0.4:  # a header that lies in good order
        shape = tuple(rng.choice(NUMBERS) for _ in range(rng.randrange(4)))
        kind = rng.choice(("<f2", "<f8", "|O", "|u1", "<U9", "|V0", "<f99"))
        text = f"{{'descr': '{kind}', 'fortran_order': {rng.choice((True, False, 3))}, 'shape': {shape}}}"
        header = text.encode().ljust(rng.choice((117, 500))) + b"\n"
        array = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(rng.randrange(64))
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            archive.writestr("lengths.npy", array)
        data = stream.getvalue()
    elif rng.random() < 0.05:
        stream = io.BytesIO()
        np.savez_compressed(stream, lengths=np.zeros(rng.choice((1, 1_000_000))))
        data = stream.getvalue()
    path = write(folder, "looks.npz", data)
    return lambda: calibrate._read(path)


def _training_config(rng: Random, folder: Path) -> Callable[[], object]:
    text = seeds("train.yaml")[0].decode()
    if rng.random() < 0.5:
        text = yaml.safe_dump(damaged_json(rng, yaml.safe_load(text)))
    else:
        text = damaged_text(rng, text, "\n: ,")
    path = write(folder, "train.yaml", text)
    return lambda: training_config.load(path)


def packed(data: bytes) -> bytes:
    """For the corpus: the same bytes always give the same."""
    return gzip.compress(data, mtime=0)


DECODERS = (
    Decoder("gallery", _gallery),
    Decoder("weights", _weights),
    Decoder("checkpoint", _checkpoint),
    Decoder("calibration", _calibration),
    Decoder("signature", _signature),
    Decoder("arrays", _arrays),
    Decoder("training config", _training_config),
)
