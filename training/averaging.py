"""Exponential moving average of the weights."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from lkpan_model.network import LKPAN


class WeightAverage:
    """Averages parameters and batch statistics over the steps; kinder to unseen places than the last step.

    The decay grows from the first steps on (as (1 + n) / (10 + n)), so that the start is forgotten soon.
    """

    def __init__(self, network: LKPAN, decay: float) -> None:
        self._network = deepcopy(network).eval().requires_grad_(requires_grad=False)
        self._decay, self._steps = decay, 0

    @torch.no_grad()
    def update(self, network: LKPAN) -> None:
        """Take one step's weights in."""
        decay = min(self._decay, (1 + self._steps) / (10 + self._steps))
        self._steps += 1
        current = network.state_dict()
        for name, mean in self._network.state_dict().items():
            if mean.is_floating_point():
                mean.lerp_(current[name], 1 - decay)
            else:
                mean.copy_(current[name])

    def network(self) -> LKPAN:
        """The network with the averaged weights, in evaluation mode."""
        return self._network

    def state_dict(self) -> dict[str, Tensor]:
        """For checkpoints."""
        return {**self._network.state_dict(), "steps": torch.tensor(self._steps)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """From a checkpoint."""
        weights = dict(state)
        self._steps = int(weights.pop("steps"))
        self._network.load_state_dict(weights)
