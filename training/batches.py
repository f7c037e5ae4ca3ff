"""Batches of pairs from all sources, augmented; each is fixed by the seed and its step alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from training.augmentations import augment_pair
from training.datasets import CANVAS_FACTOR
from training.sampler import UniquePlaceSampler, split_batch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from training.config import TrainConfig
    from training.datasets import Source


class Batches:
    """The batch of any step, so that a run that was cut off goes on as if it had not been.

    Raises:
        ConfigError: A source has fewer places than its share of a batch.
    """

    def __init__(self, sources: Sequence[Source], config: TrainConfig, size: int) -> None:
        self._sources, self._config, self._size = sources, config, size
        self._epoch, self._places = -1, self._draw_places(0)

    def draw(self, step: int) -> tuple[Tensor, Tensor]:
        """Two float32 tensors B x 3 x S x S in [0, 255]: row i of both shows the same place, no two rows do."""
        epoch, index = divmod(step, self._config.steps_per_epoch)
        if epoch != self._epoch:
            self._epoch, self._places = epoch, self._draw_places(epoch)
        rng = np.random.default_rng([self._config.seed, 1, step])
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        pairs = [
            augment_pair(
                *source.draw(places[index], rng), source.config, self._size, generator,
                same_canvas=source.same_canvas, canvas_factor=CANVAS_FACTOR if source.same_canvas else 1.0,
            )
            for source, places in zip(self._sources, self._places, strict=True)
        ]  # fmt: skip
        drones, satellites = zip(*pairs, strict=True)
        return torch.cat(drones), torch.cat(satellites)

    def _draw_places(self, epoch: int) -> list[list[NDArray[np.int64]]]:
        """For each source and step of the epoch the places of its part of the batch."""
        counts = split_batch(self._config.batch_size, [source.config.share for source in self._sources])
        rng = np.random.default_rng([self._config.seed, 0, epoch])
        samplers = [UniquePlaceSampler(s.places, n, rng) for s, n in zip(self._sources, counts, strict=True)]
        return [[sampler.draw() for _ in range(self._config.steps_per_epoch)] for sampler in samplers]
