"""The backbone's stages: frozen, recomputed in the backward pass; and batch norms that keep their statistics."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from lkpan_model.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lkpan_model.network import LKPAN

_STAGES = (
    "stages",
    "layer",
)  # timm's names: ConvNeXt's stages_0, ResNet's layer1; EfficientNet's stand in `blocks`


def stages(network: LKPAN) -> list[list[nn.Module]]:
    """The modules of each stage of the backbone, in order; the stem belongs to the first.

    Raises:
        ConfigError: The backbone is not built of stages.
    """
    stem: list[nn.Module] = []
    found: list[list[nn.Module]] = []
    for name, child in network.backbone.body.named_children():
        if name == "blocks":
            found += [[stage] for stage in child.children()]
        elif name.startswith(_STAGES):
            found.append([child])
        else:
            stem.append(child)
    if not found:
        raise ConfigError(f"the backbone {network.config.backbone} has no stages: leave frozen_stages at 0")
    return [[*stem, *found[0]], *found[1:]]


def freeze(network: LKPAN, count: int) -> list[nn.Module]:
    """Take the parameters of the first `count` stages out of training; returns the modules.

    Raises:
        ConfigError: The backbone has fewer stages.
    """
    if count == 0:
        return []
    found = stages(network)
    if count > len(found):
        raise ConfigError(
            f"frozen_stages is {count}, the backbone {network.config.backbone} has {len(found)} stages"
        )
    frozen = [module for stage in found[:count] for module in stage]
    for module in frozen:
        module.requires_grad_(requires_grad=False)
    return frozen


def set_training_mode(network: LKPAN, frozen_stages: int, *, freeze_batch_norm: bool) -> None:
    """Training mode, but evaluation mode for frozen stages and, if asked for, for all batch norms."""
    network.train()
    still = freeze(network, frozen_stages)
    if freeze_batch_norm:
        still += batch_norms(network)
    for module in still:
        module.eval()


def batch_norms(module: nn.Module) -> list[nn.Module]:
    """All batch norms within a module, timm's and those synchronised between processes among them."""
    return [part for part in module.modules() if isinstance(part, _BatchNorm)]


@contextmanager
def frozen_statistics(module: nn.Module) -> Iterator[None]:
    """Batch norms still normalise by the batch, but their running statistics stay: for a pass that is repeated."""
    norms: list[Any] = batch_norms(module)
    kept = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, kept, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count


def recompute_in_backward(network: LKPAN) -> None:
    """Gradient checkpointing: keep only the input of each stage, and compute the rest again when it is needed.

    The gradient is the same: the second pass uses the first one's random numbers, and does not touch running
    statistics (timm's own switch would count each batch twice).
    """
    for stage in stages(network):
        for module in stage:
            module.forward = _Recomputed(module)  # type: ignore[method-assign]


class _Recomputed:
    """The forward pass of a module whose activations are not kept."""

    def __init__(self, module: nn.Module) -> None:
        self._module, self._forward = module, module.forward

    def __call__(self, *inputs: Any) -> Any:
        if not torch.is_grad_enabled():
            return self._forward(*inputs)
        return checkpoint(self._forward, *inputs, use_reentrant=False, context_fn=self._contexts)

    def _contexts(self) -> tuple[Any, Any]:
        return nullcontext(), frozen_statistics(self._module)
