"""Writes the corpus, all of it made here: python -m test.fuzz.make_corpus."""

from __future__ import annotations

import io
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from rasterio.transform import from_origin
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from lkpan_model import checkpoint
from lkpan_model.network import LKPAN
from lkpan_ros.localization.calibration_file import Calibration, write_calibration
from lkpan_ros.localization.index_build import build_index
from lkpan_ros.localization.signature import make_keys, read_private_key, write_signature
from test.conftest import REPOSITORY
from test.fuzz.decoder import CORPUS, write
from test.fuzz.files import packed
from test.localization import maps
from test.localization.galleries import IDENTITY, grid_gallery
from test.model.conftest import SMALL_LITE

if TYPE_CHECKING:
    from numpy.typing import NDArray

IMAGE = "sensor_msgs/msg/Image"


def picture(width: int, height: int) -> NDArray[np.uint8]:
    """A smooth picture with one edge: small when it is compressed."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    channels = (x * 255 // width, y * 255 // height, (x > width // 2) * 200)
    return np.stack(channels, axis=2).astype(np.uint8)


def encoded(image: NDArray[Any], kind: str, mode: str = "RGB", **options: Any) -> bytes:
    """A picture as the bytes of a file."""
    stream = io.BytesIO()
    Image.fromarray(image).convert(mode).save(stream, kind, **options)
    return stream.getvalue()


def pictures() -> None:
    """Every format that messages and maps may have."""
    image = picture(64, 48)
    exif = Image.Exif()
    exif[0x0112] = 6  # turned
    for name, data in {
        "small.jpg": encoded(image, "JPEG"),
        "turned.jpg": encoded(image, "JPEG", exif=exif, subsampling=0),
        "grey.jpg": encoded(image, "JPEG", "L"),
        "progressive.jpg": encoded(image, "JPEG", progressive=True),
        "small.png": encoded(image, "PNG"),
        "alpha.png": encoded(image, "PNG", "RGBA"),
        "palette.png": encoded(image, "PNG", "P"),
        "deep.png": encoded(image[:, :, 0].astype(np.uint16) * 257, "PNG", "I;16"),
        "small.webp": encoded(image, "WEBP"),
        "exact.webp": encoded(image, "WEBP", lossless=True),
        "small.bmp": encoded(image, "BMP"),
        "small.tif": encoded(image, "TIFF", compression="tiff_deflate"),
        "striped.tif": encoded(image, "TIFF", compression="tiff_lzw", strip_size=1000),
    }.items():
        write(CORPUS, f"pictures/{name}", data)
    for kind in ("png", "jpg", "webp"):
        format_name = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP"}[kind]
        write(CORPUS, f"tiles/256.{kind}", encoded(picture(256, 256), format_name))


def geographic(folder: Path) -> None:
    """Maps of every form."""
    image, place = picture(160, 120), from_origin(392_000, 5_820_000, 1.0, 1.0)
    alpha = np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])
    grey = image[:, :, :1].astype(np.uint16) * 200
    (CORPUS / "maps").mkdir(parents=True, exist_ok=True)
    for name, pixels, options in (
        ("striped", image, {"compress": "deflate"}),
        ("tiled", alpha, {"compress": "lzw", "tiled": True, "blockxsize": 64, "blockysize": 64}),
        ("deep", grey, {"compress": "deflate", "nodata": 0}),
        ("jpeg", image, {"compress": "jpeg", "photometric": "ycbcr"}),
    ):
        maps.write_geotiff(CORPUS / "maps" / f"{name}.tif", pixels, place, "EPSG:32633", **options)
    write(CORPUS, "maps/world.pgw", "2.0\n0.0\n0.0\n-2.0\n950000.25\n6000000.25\n")
    header = "file,north,west,south,east"
    rows = ("a.png,47.001,8.000,47.000,8.001", "b.png,47.001,8.001,47.000,8.002")
    write(CORPUS, "maps/map.csv", "\n".join((header, *rows)) + "\n")
    maps.write_mbtiles(folder / "a.mbtiles", picture(512, 256), 18, 140_000, 86_000)
    write(CORPUS, "maps/small.mbtiles", (folder / "a.mbtiles").read_bytes())


def own(folder: Path) -> None:
    """Files of this software."""
    gallery = grid_gallery(0, 5)
    gallery.save(folder / "a.gallery")
    write(CORPUS, "exact.gallery", (folder / "a.gallery").read_bytes())
    large = grid_gallery(0, 120)
    for name, spec in (("indexed", "PCA4,IVF2,SQ8"), ("refined", "PCA4,IVF2,PQ2x4fsr,Refine(SQ8)")):
        index = build_index(large.rows, spec, np.asarray(large.rows[:8], np.float32))
        large.indexed(*index).save(folder / "b.gallery")
        write(CORPUS, f"{name}.gallery", (folder / "b.gallery").read_bytes())
    state = {name: torch.zeros_like(tensor) for name, tensor in LKPAN(SMALL_LITE).state_dict().items()}
    checkpoint.save(folder / "w.safetensors", state, SMALL_LITE)
    write(CORPUS, "weights.safetensors.gz", packed((folder / "w.safetensors").read_bytes()))
    torch.save({"model": {"a": torch.zeros(4)}, "epoch": 3, "best_acc": np.float64(0.5)}, folder / "a.pth")
    write(CORPUS, "small.pth", (folder / "a.pth").read_bytes())
    settings = {"similarity.temperature": 0.03, "gate.radius_m": 20.0}
    write_calibration(
        folder / "c.json", Calibration(settings, IDENTITY.weights_hash, ("a flight",), "a test")
    )
    write(CORPUS, "city.calibration.json", (folder / "c.json").read_bytes())
    make_keys(folder / "mission.key", folder / "mission.pub")
    write_signature(
        folder / "a.sig", read_private_key(folder / "mission.key"), "gallery", "0123456789abcdef" * 4
    )
    write(CORPUS, "a.gallery.sig", (folder / "a.sig").read_bytes())
    write(CORPUS, "mission.pub", (folder / "mission.pub").read_bytes())
    lengths, level, ones = np.array([1, 2]), np.zeros(2), np.ones(3)
    named: dict[str, Any] = dict.fromkeys(("quality", "similarity", "right", "error_px"), ones)
    np.savez(folder / "a.npz", lengths=lengths, level=level, **named)
    write(CORPUS, "arrays.npz", (folder / "a.npz").read_bytes())


def texts() -> None:
    """Files that people write."""
    write(CORPUS, "train.yaml", (REPOSITORY / "config" / "train_lite.yaml").read_bytes())
    write(CORPUS, "parameters/localize.yaml", (REPOSITORY / "config" / "localize.yaml").read_bytes())
    others = "search.candidates: 50\n    image.depth: 3\n    gallery.path: /a/b\n    use_sim_time: true\n"
    write(CORPUS, "parameters/others.yaml", f"/**:\n  ros__parameters:\n    {others}")
    header = "file,stamp_s,lat,lon,height_above_takeoff_m,heading_deg,view_lat,view_lon,view_checked"
    row = "a.png,{},47.4,8.5,120.0,90.0,47.401,8.501,1"
    write(CORPUS, "flight.csv", "\n".join((header, *(row.format(second) for second in range(3)))) + "\n")


def bags(folder: Path) -> None:
    """Both storages, and both ways in which MCAP compresses."""
    for name, storage, mode in (
        ("plain", StoragePlugin.MCAP, CompressionMode.NONE),
        ("packed", StoragePlugin.MCAP, CompressionMode.STORAGE),
        ("plain", StoragePlugin.SQLITE3, CompressionMode.NONE),
    ):
        suffix = "mcap" if storage == StoragePlugin.MCAP else "db3"
        writer = Writer(folder / f"{name}_{suffix}" / "bag", version=9, storage_plugin=storage)
        writer.path.parent.mkdir()
        if mode != CompressionMode.NONE:
            writer.set_compression(mode, CompressionFormat.ZSTD)
        _fill(writer)
        write(CORPUS, f"bags/{name}.{suffix}", (writer.path / f"bag.{suffix}").read_bytes())
        if (name, suffix) == ("plain", "mcap"):
            write(CORPUS, "bags/metadata.yaml", (writer.path / "metadata.yaml").read_bytes())


def _fill(writer: Writer) -> None:
    types = get_typestore(Stores.ROS2_JAZZY)
    stamp, header = types.types["builtin_interfaces/msg/Time"], types.types["std_msgs/msg/Header"]
    with writer:
        connection = writer.add_connection("/image", IMAGE, typestore=types)
        for second in range(3):
            message = types.types[IMAGE](
                header=header(stamp=stamp(second, 0), frame_id="camera"), height=4, width=8, encoding="mono8",
                is_bigendian=0, step=8, data=np.arange(32, dtype=np.uint8),
            )  # fmt: skip
            writer.write(connection, second * 10**9, types.serialize_cdr(message, IMAGE))


def main() -> None:
    """Write it anew."""
    shutil.rmtree(CORPUS, ignore_errors=True)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures()
        geographic(folder)
        own(folder)
        texts()
        bags(folder)


if __name__ == "__main__":
    main()
