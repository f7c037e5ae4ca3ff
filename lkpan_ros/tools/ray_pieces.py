"""The pieces of a gallery, read and described by the machines of a Ray cluster.

A task is a unit of the map: the machine that gets it reads, warps, encodes and compresses it, all of them with the same code
and the same batches as one machine alone. A task whose process or machine dies is started again elsewhere.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from lkpan_ros.errors import ConfigError, GalleryError
from lkpan_ros.localization.gallery_pieces import describe, piece_key
from lkpan_ros.localization.map_units import read_unit, units

if TYPE_CHECKING:
    from collections.abc import Callable

    from lkpan_model.encoder import Encoder
    from lkpan_ros.localization.gallery_pieces import KeptPieces, Piece
    from lkpan_ros.localization.map_units import Unit
    from lkpan_ros.localization.raster import MapSource
    from lkpan_ros.localization.tile_grid import TileGrid

_TRIES = 4  # of a task whose process or machine dies
_GPU_SHARE = 0.25  # of a task: four take turns with one, so that it works while the others read
_LOOPBACK_ALONE = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"  # read when Ray is imported, on Linux as well
_WAITING = 2  # tasks for each that runs


@dataclass(frozen=True)
class Work:
    """What a machine needs to know to do its part.

    Attributes:
        map_path: Of the map, the same on all machines.
        crs: Of a map that does not name its own.
        grid: Where the tiles lie.
        weights: Shipped variant, or a file, the same on all machines.
        encoder: The encoder in words, see `piece_key`.
        device: As of `Encoder`.
        precision: As of `Encoder`.
        batch_size: Tiles encoded at a time.
        threads: Processor cores of a task.
    """

    map_path: str
    crs: str | None
    grid: TileGrid
    weights: str
    encoder: str
    device: str
    precision: str
    batch_size: int
    threads: int = 1


def pieces_by_ray(
    work: Work, kept: KeptPieces, address: str | None, progress: Callable[[int], object] = lambda _: None
) -> list[Piece]:
    """Describe all units of a map.

    Args:
        work: What is done.
        kept: Pieces of an earlier run that was cut off, and where this one keeps its own.
        address: Of the cluster, HOST:PORT or `auto`; None: processes of this machine.
        progress: Called with a number of tiles each time that many have been dealt with, left out ones included.

    Returns:
        In the order of `units`.

    Raises:
        ConfigError: Ray is not installed, or there is no cluster at the address.
        MapError, GalleryError, ModelError: As on one machine.
        GalleryError: A task failed with its process or machine again and again.
    """
    ray = _connected(address)
    try:
        return _described(ray, work, kept, progress)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except ray.exceptions.RayError as error:
        raise GalleryError(
            f"the cluster gave up after {_TRIES} tries ({str(error).splitlines()[0]}); see its logs, then start the same "
            "command again: it goes on where this one stopped"
        ) from error
    finally:
        ray.shutdown()


def _described(ray: Any, work: Work, kept: KeptPieces, progress: Callable[[int], object]) -> list[Piece]:
    resources = ray.cluster_resources()
    gpu_share = _GPU_SHARE if resources.get("GPU", 0) and work.device != "cpu" else 0
    at_once = resources["GPU"] / gpu_share if gpu_share else resources.get("CPU", 1) / work.threads
    task = ray.remote(num_cpus=work.threads, num_gpus=gpu_share, max_retries=_TRIES - 1)(describe_unit)
    shared, known = ray.put(work), ray.put(kept.keys())
    waiting = list(enumerate(units(work.grid)))[::-1]
    pieces: list[Piece | None] = [None] * len(waiting)
    running: dict[Any, int] = {}
    while waiting or running:
        while waiting and len(running) < max(1, int(at_once)) * _WAITING:
            number, unit = waiting.pop()
            running[task.remote(shared, unit, known)] = number
        (done,), _ = ray.wait(list(running), num_returns=1)
        key, piece, dealt_with = ray.get(done)
        pieces[running.pop(done)] = kept.find(key) if piece is None else kept.keep(key, piece)
        progress(dealt_with)
    missing = [number for number, piece in enumerate(pieces) if piece is None]
    if missing:
        raise GalleryError(f"{len(missing)} pieces that were kept are damaged; start the same command again")
    return [piece for piece in pieces if piece is not None]


def describe_unit(work: Work, unit: Unit, known: frozenset[str]) -> tuple[str, Piece | None, int]:
    """A task.

    Args:
        work: What is done.
        unit: Of the map.
        known: Keys of the pieces that are there already.

    Returns:
        The key of the unit's piece, the piece (None: it is known), and how many tiles were dealt with.

    Raises:
        GalleryError: The weights of this machine are others.
    """
    source, encoder = _opened(work)
    pixels = read_unit(source, work.grid, unit)
    key, tiles = piece_key(work.encoder, pixels), len(pixels.corners) + pixels.left_out
    piece = None if key in known else describe(encoder, pixels, work.batch_size, lambda _: None)
    return key, piece, tiles


@lru_cache(maxsize=1)
def _opened(work: Work) -> tuple[MapSource, Encoder]:
    """The map and the encoder of a process, for all its tasks."""
    from lkpan_model.encoder import Encoder  # noqa: PLC0415 - the process that only waits needs no torch
    from lkpan_ros.localization.gallery_pieces import encoder_words  # noqa: PLC0415
    from lkpan_ros.localization.raster import open_map  # noqa: PLC0415

    encoder = Encoder(
        work.weights,
        device=work.device,
        precision=work.precision,
        batch_size=work.batch_size,
        threads=work.threads,
    )
    if encoder_words(encoder.identity) != work.encoder:
        raise GalleryError(f"{work.weights}: holds other weights on {os.uname().nodename}; copy them there")
    return open_map(work.map_path, work.crs), encoder


def _connected(address: str | None) -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
    if address is None:  # nobody else reaches these processes, who would run whatever they are sent
        os.environ.setdefault(_LOOPBACK_ALONE, "0")
    try:
        import ray  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ConfigError(
            f"--engine ray: {error}; install it with pip install -r requirements/extras.txt, or leave --engine out"
        ) from error
    try:
        ray.init(address=address, include_dashboard=False if address is None else None, log_to_driver=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ConfigError(
            f"--address {address}: there is no Ray cluster ({str(error).splitlines()[0]}); start one with ray start --head, "
            "or leave --address out"
        ) from error
    return ray
