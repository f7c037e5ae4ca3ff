"""Descriptors as of a large map for `benchmarks.search`: real ones of simulated maps, and as many more as are wanted.

Real: worlds of 1.5 x 1.5 km are simulated and encoded by the shipped `lite` as `build_gallery` does it (47 x 47 tiles of
90 m every 30 m, so that neighbours share two thirds of their pixels); frames of a simulated flight on another day are
their views.

Grown: encoding a million tiles takes hours, so further worlds are mixtures. Each takes two of the real worlds, one of them
turned or mirrored and shifted as a whole, and adds their descriptors about the mean, place by place, with weights
cos a and sin a (a of 14 to 36 degrees). So neighbours stay as alike as they are, and the directions and their spread those
of the encoder; each real tile comes back in many mixtures, as look-alikes do. A view of a grown tile is what a real
frame is to its tile: the same similarity, and the same difference to it, of a frame drawn at random.

8192 numbers (`base`, of which there are no weights here) are 3.2 such maps side by side: each place has the numbers of
four independent mixtures, scaled to unit length.
"""

from __future__ import annotations

import math
import shutil
import sys
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from lkpan_model.encoder import Encoder
from lkpan_ros.localization.config import ViewSettings
from lkpan_ros.localization.view import ground_patch
from lkpan_ros.tools.trial_site import LOOP, STRIDE_M, TrialSettings, TrialSite

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

SIDE = 47  # tiles along a world
LITE = 2560
_FIRST_SEED = 3000  # no world of the training data, of the demo or of the trials


@dataclass(frozen=True, eq=False)
class Sample:
    """Real descriptors.

    Attributes:
        tiles: (W, SIDE, SIDE, D) float16, of worlds, row by row.
        views: (V, D) float32, of frames.
        own: (V, D) float32, of the tile nearest to each.
    """

    tiles: NDArray[np.float16]
    views: Floats
    own: Floats

    @cached_property
    def about_mean(self) -> tuple[Floats, Floats]:
        """Their mean, (D,) float32, and what they are beside it, (W, SIDE * SIDE, D) float32."""
        rows = self.tiles.reshape(len(self.tiles), SIDE**2, -1).astype(np.float32)
        mean = rows.mean(axis=(0, 1))
        return mean, rows - mean


def real_sample(folder: Path, worlds: int) -> Sample:
    """Simulate and encode, or take what the folder keeps of an earlier run."""
    folder.mkdir(parents=True, exist_ok=True)
    seeds = range(_FIRST_SEED, _FIRST_SEED + worlds)
    for seed in tqdm(seeds, desc="worlds", file=sys.stderr):
        if not (folder / f"{seed}.npz").exists():
            _make_world(folder, seed)
    kept = [np.load(folder / f"{seed}.npz") for seed in seeds]
    return Sample(
        np.stack([world["tiles"] for world in kept]),
        np.concatenate([world["views"] for world in kept]),
        np.concatenate([world["own"] for world in kept]),
    )


def _make_world(folder: Path, seed: int) -> None:
    encoder = Encoder("lite")
    site = TrialSite(folder / f"site{seed}", seed, TrialSettings(seconds=40.0, rate_hz=1.0))
    site.discard_stale()
    gallery = site.gallery(LOOP, encoder, keep_map=False)
    patches, places = [], []
    for frame in site.frames(LOOP, keep=False):
        if frame.view is not None:
            patches.append(
                ground_patch(frame.frame, gallery.tile_size_m, gallery.tile_px, ViewSettings()).patch
            )
            places.append(gallery.frame.to_local(frame.view.lat_deg, frame.view.lon_deg))
    apart_m = np.linalg.norm(gallery.positions_m[:, None] - np.array(places), axis=2)
    tiles = gallery.descriptors(np.arange(len(gallery))).astype(np.float16)
    np.savez(
        folder / f"{seed}.npz",
        tiles=tiles.reshape(SIDE, SIDE, -1),
        views=encoder.encode(patches),
        own=tiles[apart_m.argmin(axis=0)].astype(np.float32),
    )
    shutil.rmtree(folder / f"site{seed}")


def grown_tiles(sample: Sample, path: Path, count: int, dim: int) -> NDArray[np.float16]:
    """(count, dim) float16 in a file: mapped, so that it need not fit into memory. The first ones are those of a smaller map."""
    if not path.exists() or path.stat().st_size < count * dim * 2:
        with path.open("wb") as file:
            for world in tqdm(range(math.ceil(count / SIDE**2)), desc=f"tiles of {dim}", file=sys.stderr):
                rows = _grown_world(sample, world, dim)
                file.write(rows[: count - world * SIDE**2].tobytes())
    return np.memmap(path, np.float16, "r", shape=(count, dim))


def positions_m(count: int) -> NDArray[np.float64]:
    """(count, 2) float64: the worlds side by side on a square."""
    along = math.ceil(math.sqrt(count / SIDE**2))
    world, tile = np.divmod(np.arange(count), SIDE**2)
    east = world % along * SIDE + tile % SIDE
    north = world // along * SIDE + tile // SIDE
    return np.stack([east, -north], axis=1) * STRIDE_M


def grown_views(sample: Sample, tiles: NDArray[np.float16], count: int, seed: int) -> Floats:
    """(count, D) float32: views of tiles drawn at random."""
    rng = np.random.default_rng(seed)
    drawn = tiles[np.sort(rng.integers(0, len(tiles), count))].astype(np.float32)
    parts = math.ceil(tiles.shape[1] / LITE)
    frame = rng.integers(0, len(sample.views), (count, parts))
    alike = np.sum(sample.views * sample.own, axis=1)
    differs = sample.views - alike[:, None] * sample.own
    beside = differs[frame].reshape(count, -1)[:, : tiles.shape[1]] / math.sqrt(parts)
    return _unit(alike[frame].mean(axis=1)[:, None] * drawn + beside)


def _grown_world(sample: Sample, world: int, dim: int) -> NDArray[np.float16]:
    """(SIDE * SIDE, dim) float16."""
    rng = np.random.default_rng([world, dim])
    parts = [_mixture(sample, rng) for _ in range(math.ceil(dim / LITE))]
    return _unit(parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)[:, :dim]).astype(np.float16)


def _mixture(sample: Sample, rng: np.random.Generator) -> Floats:
    mean, worlds = sample.about_mean
    first, second = rng.choice(len(worlds), 2, replace=len(worlds) < 2)
    angle = rng.uniform(0.08, 0.2) * math.pi
    places = np.roll(np.arange(SIDE**2).reshape(SIDE, SIDE), rng.integers(0, SIDE, 2), axis=(0, 1))
    places = np.rot90(places, int(rng.integers(4)))
    places = places[::-1] if rng.integers(2) else places
    mixed: Floats = worlds[second][places.ravel()]
    mixed *= math.sin(angle)
    mixed += math.cos(angle) * worlds[first]
    mixed += mean
    return mixed


def _unit(rows: Floats) -> Floats:
    return np.asarray(rows / np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None], np.float32)


def likeness(tiles: NDArray[np.float16], views: Floats) -> dict[str, float]:
    """What tells whether grown descriptors are as real ones: of whole worlds, and of views of them."""
    grid = tiles.astype(np.float32).reshape(-1, SIDE, SIDE, tiles.shape[-1])
    flat = grid.reshape(-1, tiles.shape[-1])
    rng = np.random.default_rng(0)
    some, others = (flat[rng.permutation(len(flat))[:2000]] for _ in range(2))
    best = -np.sort(-(views @ flat.T), axis=1)[:, :10]
    return {
        "neighbours, median": float(np.median(np.sum(grid[:, :, 1:] * grid[:, :, :-1], axis=-1))),
        "strangers, median": float(np.median(np.sum(some * others, axis=1))),
        "strangers, 99 %": float(np.percentile(np.sum(some * others, axis=1), 99)),
        "view and its best tile, median": float(np.median(best[:, 0])),
        "view and its tenth best, median": float(np.median(best[:, 9])),
    }
