"""Command line: a map in, a gallery out.

python -m lkpan_ros.tools.build_gallery --map PATH --tile-size-m 90 --stride-m 30 --output FILE
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from lkpan_ros.errors import ConfigError, GalleryError
from lkpan_ros.tools import cli

if TYPE_CHECKING:
    from collections.abc import Callable

    from lkpan_model.encoder import Encoder
    from lkpan_ros.localization.gallery import Gallery
    from lkpan_ros.localization.gallery_pieces import KeptPieces
    from lkpan_ros.localization.raster import MapSource
    from lkpan_ros.localization.tile_grid import TileGrid


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit status (see `cli.run`)."""
    options = _parser().parse_args(arguments)
    kept = _kept_folder(options.output)
    return cli.run(
        lambda: _build(options),
        f"interrupted; the same command goes on where this one stopped (what was done is kept in {kept})",
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="build_gallery", description="Build a gallery of map tiles.")
    add = parser.add_argument
    add("--map", type=Path, required=True, metavar="PATH", help="GeoTIFF, XYZ folder z/x/y.png, .mbtiles, "
        "image with a world file, or CSV (file,north,west,south,east)")  # fmt: skip
    add("--tile-size-m", type=float, required=True, help="side of a tile on the ground, metres")
    add("--stride-m", type=float, required=True, help="distance between neighbouring tiles, metres")
    add(
        "--output", type=Path, required=True, metavar="FILE", help="gallery file; one that exists is replaced"
    )
    add("--weights", default="lite", help="shipped variant, or path of a .safetensors file (default: lite)")
    add("--crs", help="coordinate reference system of a map that does not name its own, e.g. EPSG:3857")
    add(
        "--gsd-m",
        type=float,
        help="side of a pixel, metres (default: the map's own, at most 256 pixels a tile)",
    )
    add("--engine", default="torch", choices=("torch", "openvino", "onnxruntime", "ray"),
        help="ray: torch on a Ray cluster whose machines find map and weights at the same paths (default: torch)")  # fmt: skip
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: auto)")
    add("--precision", default="auto", choices=("auto", "fp32", "bf16", "fp16"), help="default: auto")
    add(
        "--index", default="auto", metavar="SPEC",
        help="how tiles are looked up: exact, a FAISS factory string, or auto (default): exact where that is fast "
        "and fits into memory, else compressed, with its recall measured and stated",
    )  # fmt: skip
    add(
        "--index-memory-mb", type=float, default=2000.0, metavar="MB",
        help="memory on board that an index chosen by auto may take (default: 2000)",
    )  # fmt: skip
    add("--batch-size", type=int, default=32, help="tiles encoded at a time (default: 32)")
    add("--address", metavar="HOST:PORT",
        help="of the Ray cluster, or auto (default: processes of this machine)")  # fmt: skip
    add("--threads", type=int, default=1, help="processor cores of a task of Ray (default: 1)")
    return parser


def _build(options: argparse.Namespace) -> None:
    """Build the gallery that the options ask for and say in one line what it became."""
    # Imported here: torch takes seconds, and neither --help nor a wrong option nor Ctrl-C should wait for it.
    from tqdm import tqdm  # noqa: PLC0415

    from lkpan_model.encoder import Encoder  # noqa: PLC0415
    from lkpan_ros.localization.gallery_build import build  # noqa: PLC0415
    from lkpan_ros.localization.gallery_pieces import KeptPieces  # noqa: PLC0415
    from lkpan_ros.localization.index_build import check_spec, with_index  # noqa: PLC0415
    from lkpan_ros.localization.raster import open_map  # noqa: PLC0415
    from lkpan_ros.localization.tile_grid import plan  # noqa: PLC0415

    start_s = time.monotonic()
    _check_options(options)
    _check_output(options.output)
    source = open_map(options.map, options.crs)
    grid = plan(source, options.tile_size_m, options.stride_m, options.gsd_m)
    encoder = Encoder(
        options.weights,
        engine="torch" if options.engine == "ray" else options.engine,
        device=options.device,
        precision=options.precision,
        batch_size=options.batch_size,
    )
    kept = KeptPieces(_kept_folder(options.output), encoder.identity)
    planned = len(grid.lefts) * len(grid.tops)
    index_bytes = round(options.index_memory_mb * 1e6)
    check_spec(options.index, planned, encoder.descriptor_dim, index_bytes)
    with tqdm(total=planned, unit="tile", desc=source.name, file=sys.stderr) as bar:
        if options.engine == "ray":
            gallery = _built_by_ray(options, source, grid, encoder, kept, bar.update)
        else:
            gallery = build(
                source, encoder, grid, batch_size=options.batch_size, kept=kept, progress=bar.update
            )
    gallery = with_index(gallery, encoder, options.index, index_bytes, _tell)
    gallery.save(options.output)
    kept.remove()
    print(f"{_summary(options.output, gallery, source, planned)}, {time.monotonic() - start_s:.1f} s")


def _check_options(options: argparse.Namespace) -> None:
    if min(options.batch_size, options.threads) < 1 or options.index_memory_mb <= 0:
        raise ConfigError(
            f"--batch-size {options.batch_size} --threads {options.threads} --index-memory-mb "
            f"{options.index_memory_mb:g}: give 1 or more"
        )
    if options.address and options.engine != "ray":
        raise ConfigError(f"--address {options.address}: is that of a Ray cluster; give --engine ray, too")


def _summary(output: Path, gallery: Gallery, source: MapSource, planned: int) -> str:
    extent = source.local_bounds(gallery.frame)
    return (
        f"{output}: {len(gallery)} tiles of {gallery.tile_size_m:g} m every {gallery.stride_m:g} m, "
        f"{planned - len(gallery)} left out (nodata), {gallery.gsd_m:.3f} m a pixel, "
        f"map {(extent.east - extent.west) / 1e3:.2f} x {(extent.north - extent.south) / 1e3:.2f} km about "
        f"{gallery.info.datum.lat_deg:.6f}, {gallery.info.datum.lon_deg:.6f}, "
        f"index {gallery.info.index}, {_size_bytes(output) / 1e6:.1f} MB"
    )


def _built_by_ray(
    options: argparse.Namespace,
    source: MapSource,
    grid: TileGrid,
    encoder: Encoder,
    kept: KeptPieces,
    progress: Callable[[int], object],
) -> Gallery:
    from lkpan_ros.localization.gallery_build import assembled  # noqa: PLC0415
    from lkpan_ros.localization.gallery_pieces import encoder_words  # noqa: PLC0415
    from lkpan_ros.tools.ray_pieces import Work, pieces_by_ray  # noqa: PLC0415

    shipped = not Path(options.weights).exists()
    work = Work(
        str(options.map.resolve()),
        options.crs,
        grid,
        options.weights if shipped else str(Path(options.weights).resolve()),
        encoder_words(encoder.identity),
        options.device,
        options.precision,
        options.batch_size,
        options.threads,
    )
    return assembled(source, encoder.identity, grid, pieces_by_ray(work, kept, options.address, progress))


def _tell(step: str) -> None:
    print(step, file=sys.stderr)


def _size_bytes(output: Path) -> int:
    """Of a gallery's file and its shards."""
    shards = output.with_name(f"{output.name}.shards")
    return sum(file.stat().st_size for file in (output, *shards.glob("*")))


def _kept_folder(output: Path) -> Path:
    return output.with_name(f"{output.name}.partial")


def _check_output(output: Path) -> None:
    """Refuse to replace what is no gallery, before any work is done."""
    from lkpan_ros.localization.gallery_file import is_gallery  # noqa: PLC0415

    if output.exists() and not is_gallery(output):
        raise GalleryError(f"--output {output} exists and is no gallery; remove it or give another name")
    output.parent.mkdir(parents=True, exist_ok=True)


if __name__ == "__main__":
    sys.exit(main())
