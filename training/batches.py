"""Batches of pairs from all sources, augmented; each is fixed by the seed and its step alone."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from training import augmentations, paper_augmentations
from training.sampler import SimilaritySampler, UniquePlaceSampler, split_batch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from training.config import TrainConfig
    from training.datasets import Source

    Pair = tuple[Tensor, Tensor]
    Neighbours = Sequence[NDArray[np.int64]]

_CPU = torch.device("cpu")
BLOCK = 16  # pairs that are augmented together, whichever process needs them


@dataclass(frozen=True)
class _Block:
    """Some rows of a batch, all of one source."""

    source: Source
    places: NDArray[np.int64]
    seed: tuple[int, ...]
    kept: slice  # of these rows, those that are wanted


class Batches:
    """The batch of any step, so that a run that was cut off goes on as if it had not been.

    Args:
        sources: Where the pairs come from.
        config: Batch size, shares, augmentation.
        size: Side of the encoder's input, pixels.
        rank: This process, of `world` that share each batch: it gets its part of the rows.
        world: Number of processes.
        device: Where the `simulated` augmentation runs. Each device draws its own random numbers: the batches of a seed are the
            same again on the same kind of device only.

    Raises:
        ConfigError: A source has fewer places than its share of a batch.
    """

    def __init__(
        self, sources: Sequence[Source], config: TrainConfig, size: int, rank: int = 0, world: int = 1,
        device: torch.device = _CPU,
    ) -> None:  # fmt: skip
        self._sources, self._config, self._size = sources, config, size
        # The paper's recipe is torchvision's and OpenCV's, image by image.
        self._device = device if config.augmentation == "simulated" else _CPU
        self._rows = range(config.batch_size)[rank * config.batch_size // world :][
            : config.batch_size // world
        ]
        self._neighbours: Neighbours | None = None
        self._epoch, self._places = 0, self._draw_places(0)

    def use_neighbours(self, neighbours: Neighbours | None) -> None:
        """Put places that are alike into the same batches: for each source int64 P x K, see `nearest_places`."""
        self._neighbours, self._epoch = neighbours, -1

    def draw(self, step: int) -> Pair:
        """Two float32 tensors b x 3 x S x S in [0, 255]: row i of both shows the same place, no two rows do."""
        return _join([self._prepare(block) for block in self._blocks(step)])

    def stream(self, start: int, stop: int) -> Iterator[Pair]:
        """The batches of these steps, the next one prepared in the background while the last is used."""
        if not self._config.workers:
            yield from map(self.draw, range(start, stop))
            return
        with ThreadPoolExecutor(self._config.workers) as pool:
            waiting: list[Future[Pair]] = []
            for step in range(start, stop + 1):
                ready = waiting
                blocks = self._blocks(step) if step < stop else []
                waiting = [pool.submit(self._prepare, block) for block in blocks]
                if step > start:
                    yield _join([future.result() for future in ready])

    def _blocks(self, step: int) -> list[_Block]:
        """This process's rows of a batch. Blocks are shuffled, so that each part of it sees all sources."""
        epoch, index = divmod(step, self._config.steps_per_epoch)
        if epoch != self._epoch:
            self._epoch, self._places = epoch, self._draw_places(epoch)
        parts = [
            (source, places[index][start : start + BLOCK])
            for source, places in zip(self._sources, self._places, strict=True)
            for start in range(0, len(places[index]), BLOCK)
        ]
        order = np.random.default_rng([self._config.seed, 1, step]).permutation(len(parts))
        blocks, first = [], 0
        for number in order.tolist():
            source, places = parts[number]
            low, high = (min(max(row - first, 0), len(places)) for row in (self._rows.start, self._rows.stop))
            if low < high:
                seed = (self._config.seed, 2, step, number)
                blocks.append(_Block(source, places, seed, slice(low, high)))
            first += len(places)
        return blocks

    def _prepare(self, block: _Block) -> Pair:
        rng = np.random.default_rng(block.seed)
        seed = int(rng.integers(2**62))
        views = [view.to(self._device) for view in block.source.draw(block.places, rng)]
        with self._device:
            generator = torch.Generator(self._device).manual_seed(seed)
            drone, satellite = self._augment(views[0], views[1], block.source, generator)
        return drone[block.kept], satellite[block.kept]

    def _augment(self, drone: Tensor, satellite: Tensor, source: Source, generator: torch.Generator) -> Pair:
        config = self._config
        if config.augmentation == "paper":
            return paper_augmentations.augment_pair(
                drone, satellite, self._size, generator, quarter_turns=source.config.quarter_turns,
                offset=config.offset_augmentation, perspective=config.perspective,
            )  # fmt: skip
        return augmentations.augment_pair(
            drone, satellite, source.config, self._size, generator, same_canvas=source.same_canvas,
            offset=config.offset_augmentation, perspective=config.perspective,
        )  # fmt: skip

    def _draw_places(self, epoch: int) -> list[list[NDArray[np.int64]]]:
        """For each source and step of the epoch the places of its part of the batch."""
        counts = split_batch(self._config.batch_size, [source.config.share for source in self._sources])
        rng = np.random.default_rng([self._config.seed, 0, epoch])
        drawn = []
        for number, (source, count) in enumerate(zip(self._sources, counts, strict=True)):
            sampler: UniquePlaceSampler | SimilaritySampler
            if self._neighbours is None:
                sampler = UniquePlaceSampler(source.places, count, rng)
            else:
                sampler = SimilaritySampler(source.places, count, rng, self._neighbours[number])
            drawn.append([sampler.draw() for _ in range(self._config.steps_per_epoch)])
        return drawn


def _join(pairs: Sequence[Pair]) -> Pair:
    drones, satellites = zip(*pairs, strict=True)
    return torch.cat(drones), torch.cat(satellites)
