"""Command line: a map in, a gallery out.

python -m lkpan_ros.tools.build_gallery --map PATH --tile-size-m 90 --stride-m 30 --output FILE
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from lkpan_ros.errors import ConfigError, GalleryError
from lkpan_ros.tools import cli


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit status (see `cli.run`)."""
    options = _parser().parse_args(arguments)
    kept = _kept_folder(options.output)
    return cli.run(
        lambda: _build(options),
        f"interrupted; the same command goes on where this one stopped (descriptors are kept in {kept})",
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
    add("--engine", default="torch", choices=("torch", "openvino", "onnxruntime"), help="default: torch")
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
    return parser


def _build(options: argparse.Namespace) -> None:
    """Build the gallery that the options ask for and say in one line what it became."""
    # Imported here: torch takes seconds, and neither --help nor a wrong option nor Ctrl-C should wait for it.
    from tqdm import tqdm  # noqa: PLC0415

    from lkpan_model.encoder import Encoder  # noqa: PLC0415
    from lkpan_ros.localization.gallery_build import build  # noqa: PLC0415
    from lkpan_ros.localization.index_build import check_spec, with_index  # noqa: PLC0415
    from lkpan_ros.localization.kept_descriptors import KeptDescriptors  # noqa: PLC0415
    from lkpan_ros.localization.raster import open_map  # noqa: PLC0415
    from lkpan_ros.localization.tile_grid import plan  # noqa: PLC0415

    start_s = time.monotonic()
    if options.batch_size < 1 or options.index_memory_mb <= 0:
        raise ConfigError(
            f"--batch-size {options.batch_size} --index-memory-mb {options.index_memory_mb:g}: give 1 or more"
        )
    _check_output(options.output)
    source = open_map(options.map, options.crs)
    grid = plan(source, options.tile_size_m, options.stride_m, options.gsd_m)
    encoder = Encoder(
        options.weights,
        engine=options.engine,
        device=options.device,
        precision=options.precision,
        batch_size=options.batch_size,
    )
    kept = KeptDescriptors(_kept_folder(options.output), encoder)
    planned = len(grid.lefts) * len(grid.tops)
    index_bytes = round(options.index_memory_mb * 1e6)
    check_spec(options.index, planned, encoder.descriptor_dim, index_bytes)
    with tqdm(total=planned, unit="tile", desc=source.name, file=sys.stderr) as bar:
        gallery = build(source, encoder, grid, batch_size=options.batch_size, kept=kept, progress=bar.update)
    gallery = with_index(gallery, encoder, options.index, index_bytes, _tell)
    gallery.save(options.output)
    kept.remove()
    extent = source.local_bounds(gallery.frame)
    print(
        f"{options.output}: {len(gallery)} tiles of {gallery.tile_size_m:g} m every {gallery.stride_m:g} m, "
        f"{planned - len(gallery)} left out (nodata), {gallery.gsd_m:.3f} m a pixel, "
        f"map {(extent.east - extent.west) / 1e3:.2f} x {(extent.north - extent.south) / 1e3:.2f} km about "
        f"{gallery.info.datum.lat_deg:.6f}, {gallery.info.datum.lon_deg:.6f}, "
        f"index {gallery.info.index}, "
        f"{options.output.stat().st_size / 1e6:.1f} MB, {time.monotonic() - start_s:.1f} s"
    )


def _tell(step: str) -> None:
    print(step, file=sys.stderr)


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
