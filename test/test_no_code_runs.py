"""A pickle that would leave a trace, in every file that this software reads: it leaves none."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import yaml

from lkpan_model import checkpoint
from lkpan_model.config import VARIANTS
from lkpan_model.errors import CheckpointError, ModelError
from lkpan_ros.errors import FlightError, GalleryError, LkpanError
from lkpan_ros.localization.calibration_file import read_calibration
from lkpan_ros.localization.flight_log import read_flight
from lkpan_ros.localization.gallery import Gallery
from lkpan_ros.localization.gallery_pieces import KeptPieces, Piece
from lkpan_ros.localization.mosaic import MosaicWriter, PixelGrid
from lkpan_ros.localization.raster import open_map
from lkpan_ros.tools import calibrate
from test.localization.galleries import grid_gallery
from test.localization.thumbnails import Thumbnails
from test.model.conftest import SMALL_LITE
from training import config as training_config
from training.device import Precision
from training.run import start
from training.source_config import SourceConfig

if TYPE_CHECKING:
    from collections.abc import Callable


class Payload:
    """Unpickling it writes a file."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.write_text, (self.trace, "ran"))


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """What a payload that ran would leave; that it would is tried first."""
    trace = tmp_path / "trace"
    pickle.loads(pickle.dumps(Payload(trace)))
    assert trace.read_text() == "ran"
    trace.unlink()
    return trace


def plain(trace: Path) -> bytes:
    return pickle.dumps(Payload(trace))


def by_torch(trace: Path) -> bytes:
    stream = io.BytesIO()
    torch.save({"model": {"a": Payload(trace)}, "config": Payload(trace)}, stream)
    return stream.getvalue()


def by_old_torch(trace: Path) -> bytes:
    stream = io.BytesIO()
    torch.save({"model": Payload(trace)}, stream, _use_new_zipfile_serialization=False)
    return stream.getvalue()


def by_numpy(trace: Path) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array([Payload(trace)], dtype=object), allow_pickle=True)
    return stream.getvalue()


def zipped(trace: Path) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("lengths.npy", by_numpy(trace))
    return stream.getvalue()


def in_safetensors(trace: Path) -> bytes:
    """The pickle where the header should be."""
    content = plain(trace)
    return struct.pack("<Q", len(content)) + content


FORMS = (plain, by_torch, by_old_torch, by_numpy, zipped, in_safetensors)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pth", "weights"])
def test_weights(trace: Path, tmp_path: Path, form: Callable[[Path], bytes], name: str) -> None:
    (tmp_path / name).write_bytes(form(trace))
    with pytest.raises(CheckpointError, match="weights"):
        checkpoint.load(tmp_path / name)
    assert not trace.exists()


@pytest.mark.parametrize("form", FORMS)
def test_a_gallery(trace: Path, tmp_path: Path, form: Callable[[Path], bytes]) -> None:
    (tmp_path / "a.gallery").write_bytes(form(trace))
    with pytest.raises(GalleryError, match="gallery"):
        Gallery.load(tmp_path / "a.gallery")
    assert not trace.exists()


def test_a_gallery_with_a_pickle_among_its_pixels(trace: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.gallery"
    grid_gallery(0, 5).save(path)
    content, payload = bytearray(path.read_bytes()), plain(trace)
    content[-len(payload) :] = payload
    path.write_bytes(content)
    with pytest.raises(GalleryError, match="altered"):
        Gallery.load(path)
    assert not trace.exists()


@pytest.fixture
def _small_variant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(VARIANTS, SMALL_LITE.variant, SMALL_LITE)


@pytest.mark.usefixtures("_small_variant")
@pytest.mark.parametrize("form", FORMS)
def test_a_training_checkpoint(trace: Path, tmp_path: Path, form: Callable[[Path], bytes]) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(form(trace))
    sources = (SourceConfig("pairs", "x"),)
    config = training_config.TrainConfig(variant="small-lite", init="random", sources=sources)
    run = start(config, Precision("fp32", torch.device("cpu")))
    with pytest.raises(CheckpointError, match="cannot resume"):
        run.load(tmp_path / "checkpoint.pt", config)
    assert not trace.exists()


@pytest.mark.parametrize("form", FORMS)
def test_descriptors_that_an_interrupted_build_has_kept(
    trace: Path, tmp_path: Path, form: Callable[[Path], bytes]
) -> None:
    kept = KeptPieces(tmp_path / "kept", Thumbnails().identity)
    writer = MosaicWriter(PixelGrid(0.0, 0.0, 1.0, 1, 1))
    writer.add_row(np.zeros((256, 256, 3), np.uint8), np.ones((256, 256), np.bool_))
    mosaic = writer.finish()
    blocks = (mosaic.data, mosaic.offsets, mosaic.mask_row, mosaic.masks)
    kept.keep("key", Piece(np.eye(1, 4, dtype=np.float16), np.zeros((1, 2)), *blocks))
    assert kept.find("key") is not None
    (file,) = (tmp_path / "kept").iterdir()
    file.write_bytes(form(trace))
    assert kept.find("key") is None
    assert not trace.exists()


@pytest.mark.parametrize("form", FORMS)
def test_looks_of_a_calibration(trace: Path, tmp_path: Path, form: Callable[[Path], bytes]) -> None:
    (tmp_path / "looks.npz").write_bytes(form(trace))
    with pytest.raises(FlightError, match="looks"):
        calibrate._read(tmp_path / "looks.npz")
    assert not trace.exists()


@pytest.mark.parametrize("form", FORMS)
def test_flights_maps_and_calibrations(trace: Path, tmp_path: Path, form: Callable[[Path], bytes]) -> None:
    readers: dict[str, Callable[[Path], Any]] = {
        "flight.csv": read_flight, "a.calibration.json": read_calibration, "a.csv": open_map, "a.tif": open_map,
        "a.mbtiles": open_map, "a.png": open_map,
    }  # fmt: skip
    for name, read in readers.items():
        (tmp_path / name).write_bytes(form(trace))
        with pytest.raises(LkpanError, match=name):
            read(tmp_path / name)
    assert not trace.exists()


@pytest.mark.parametrize("tag", ["!!python/object/apply:pathlib.Path.write_text", "!!python/name:os.system"])
def test_a_training_config(trace: Path, tmp_path: Path, tag: str) -> None:
    path = tmp_path / "train.yaml"
    path.write_text(f"seed: {tag} [{trace}, ran]\n")
    with pytest.raises(yaml.YAMLError):
        yaml.safe_load(path.read_text())
    with pytest.raises(ModelError, match=r"train\.yaml"):
        training_config.load(path)
    assert not trace.exists()
