"""Batches in which no place occurs twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from lkpan_model.errors import ConfigError, InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

NEIGHBOURS = 128  # Sample4Geo's pool of near places per place
NEAREST_SHARE = 0.5  # and the part of a seed's companions that are the nearest of them


class UniquePlaceSampler:
    """An endless stream of places in which every run of `batch_size` that `draw` gives has no repeats.

    A place seen twice in a batch would make InfoNCE push a true match away. All places come once per pass,
    in an order that changes with each pass.

    Raises:
        ConfigError: There are fewer places than a batch needs.
    """

    def __init__(self, places: int, batch_size: int, rng: np.random.Generator) -> None:
        _check_batch(places, batch_size)
        self._places, self._batch_size, self._rng = places, batch_size, rng
        self._queue: list[int] = []

    def draw(self) -> NDArray[np.int64]:
        """The next batch: int64 array of `batch_size` different places."""
        batch: list[int] = []
        put_back: list[int] = []
        while len(batch) < self._batch_size:
            if not self._queue:
                self._queue = self._rng.permutation(self._places).tolist()
            place = self._queue.pop()
            (put_back if place in batch else batch).append(place)
        self._queue.extend(put_back)  # those of the next pass that this batch already had
        return np.array(batch, np.int64)


class SimilaritySampler:
    """Batches of places that look alike: the hardest negatives for InfoNCE, none of them twice in a batch.

    Sample4Geo's dynamic similarity sampling (Deuser et al., ICCV 2023): the descriptors of all training places
    are compared every few epochs, and a batch is put together of seeds and of places near each seed. Part of
    those are the nearest ones, the rest come at random from a wider pool, so that batches still change and one
    false negative (the same place under two ids) does not return in each of them. All places come once per pass.

    Until neighbours are known the order is random. The batches follow from the generator and the neighbours
    alone: to go on exactly after a stop, keep `neighbours`, make the sampler anew with the generator it was made
    with, and draw again what was drawn.

    Args:
        places: Number of places.
        batch_size: Places in a batch.
        rng: All randomness.
        neighbours: int64 P x K, see `update`; None: not known yet.
        per_seed: Neighbours that a seed brings along; None: half a batch, as Sample4Geo's 64 of 128.
        nearest_share: Part of `per_seed` that are the very nearest; the rest is drawn from the other columns.

    Raises:
        ConfigError: Fewer places than a batch needs, or an option is out of its range.
        InputError: As `update`.
    """

    def __init__(
        self, places: int, batch_size: int, rng: np.random.Generator,
        neighbours: NDArray[np.int64] | None = None, *,
        per_seed: int | None = None, nearest_share: float = NEAREST_SHARE,
    ) -> None:  # fmt: skip
        _check_batch(places, batch_size)
        self._per_seed = batch_size // 2 if per_seed is None else per_seed
        if self._per_seed < 0 or not 0 <= nearest_share <= 1:
            raise ConfigError(
                f"per_seed must not be negative and nearest_share must be in 0..1, got {per_seed} and {nearest_share}"
            )
        self._places, self._batch_size, self._rng = places, batch_size, rng
        self._nearest = round(self._per_seed * nearest_share)
        self._order: NDArray[np.int64] = np.empty(0, np.int64)  # of this pass
        self._waiting = np.zeros(places, np.bool_)  # not drawn yet in this pass
        self.neighbours: NDArray[np.int64] | None = None
        if neighbours is not None:
            self.update(neighbours)

    def update(self, neighbours: NDArray[np.int64]) -> None:
        """Use these neighbours from the next batch on.

        Args:
            neighbours: int64 P x K, row p the places most like p in falling order, p itself not among them
                (see `nearest_places`; Sample4Geo's K is NEIGHBOURS).

        Raises:
            InputError: Another shape or dtype, or a place that does not exist.
        """
        if neighbours.ndim != 2 or len(neighbours) != self._places or neighbours.dtype != np.int64:
            raise InputError(
                f"neighbours must be int64 {self._places} x K, got {neighbours.dtype} {neighbours.shape}"
            )
        if (wrong := neighbours[(neighbours < 0) | (neighbours >= self._places)]).size:
            raise InputError(f"neighbours must be places from 0 to below {self._places}, got {wrong[0]}")
        self.neighbours = neighbours

    def draw(self) -> NDArray[np.int64]:
        """The next batch: int64 array of `batch_size` different places."""
        batch: list[int] = []
        free = np.ones(self._places, np.bool_)  # not in this batch
        while len(batch) < self._batch_size:
            if not self._waiting.any():
                self._order = self._rng.permutation(self._places)
                self._waiting[:] = True
            # A batch may span two passes: what it has of the last one stays waiting in the next.
            seed = self._order[(self._waiting & free)[self._order]][0]
            for place in (seed, *self._near(seed)):
                if self._waiting[place] and free[place] and len(batch) < self._batch_size:
                    batch.append(int(place))
                    free[place] = self._waiting[place] = False
        return np.array(batch, np.int64)

    def _near(self, seed: int) -> NDArray[np.int64]:
        """The nearest places of a seed and some of its wider pool."""
        if self.neighbours is None:
            return np.empty(0, np.int64)
        nearest, pool = np.split(self.neighbours[seed], [self._nearest])
        count = min(self._per_seed - self._nearest, len(pool))
        return np.concatenate([nearest, self._rng.choice(pool, count, replace=False)])


def nearest_places(
    drone: Tensor, satellite: Tensor, count: int = NEIGHBOURS, *, chunk: int = 1024
) -> NDArray[np.int64]:
    """For each place the others that are most easily taken for it.

    The likeness of places p and q is the mean of drone p against satellite q and drone q against satellite p,
    the two wrong answers that the symmetric loss punishes.

    Args:
        drone: Floating P x D, unit length, row p of place p.
        satellite: As `drone`.
        count: Neighbours wanted, at most P - 1 are there.
        chunk: Places compared at once: memory is chunk x P numbers.

    Returns:
        int64 P x min(count, P - 1), in falling order of likeness.

    Raises:
        InputError: The two do not have the same shape P x D.
    """
    if drone.ndim != 2 or drone.shape != satellite.shape:
        raise InputError(
            f"descriptors of both views must be P x D alike, got {tuple(drone.shape)} and {tuple(satellite.shape)}"
        )
    places, rows = len(drone), []
    for start in range(0, places, chunk):
        part = slice(start, start + chunk)
        likeness = drone[part] @ satellite.T + satellite[part] @ drone.T  # chunk x P, twice the mean
        own = torch.arange(len(likeness), device=likeness.device)
        likeness[own, own + start] = -torch.inf
        rows.append(likeness.topk(min(count, places - 1)).indices.cpu())
    found: NDArray[np.int64] = torch.cat(rows).numpy()
    return found


def split_batch(batch_size: int, shares: Sequence[float]) -> list[int]:
    """Whole numbers of pairs per source, in proportion to the shares, that add up to the batch.

    Largest remainders first, so that nothing depends on the sources' order but ties.
    """
    exact = [batch_size * share / sum(shares) for share in shares]
    counts = [int(value) for value in exact]
    by_remainder = sorted(range(len(shares)), key=lambda i: counts[i] - exact[i])
    for index in by_remainder[: batch_size - sum(counts)]:
        counts[index] += 1
    return counts


def _check_batch(places: int, batch_size: int) -> None:
    if batch_size > places:
        raise ConfigError(
            f"a batch of {batch_size} places cannot be drawn from {places}: lower batch_size or the share"
        )
