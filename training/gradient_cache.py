"""The gradient of a contrastive batch, in one piece or chunk by chunk in little memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from lkpan_model.preprocess import normalise
from training import distributed
from training.stages import frozen_statistics

if TYPE_CHECKING:
    from training.device import Precision
    from training.loss import InfoNCE


def describe(
    network: nn.Module, precision: Precision, drone: Tensor, satellite: Tensor, seed: int
) -> tuple[Tensor, Tensor]:
    """Pixel values b x 3 x S x S of both views to their descriptors b x D, in one pass of 2b images.

    The seed fixes dropout and stochastic depth, so that the pass can be repeated.
    """
    torch.manual_seed(seed)
    images = normalise(torch.cat([drone, satellite]))  # 2b x 3 x S x S
    with precision.forward():
        descriptors: Tensor = network(images.contiguous(memory_format=torch.channels_last))  # 2b x D
    drone_descriptors, satellite_descriptors = descriptors.chunk(2)
    return drone_descriptors, satellite_descriptors


def backward(
    network: nn.Module, loss: InfoNCE, drone: Tensor, satellite: Tensor, *,
    precision: Precision, scaler: torch.amp.GradScaler, chunk_size: int, seed: int,
) -> float:  # fmt: skip
    """Add the gradient of the global batch's loss to all parameters; returns the loss.

    Args:
        network: LKPAN, or what `distributed.parallel` made of it.
        loss: Of all processes' descriptors.
        drone: This process's rows, b x 3 x S x S in [0, 255].
        satellite: As `drone`.
        precision: Of both passes.
        scaler: Scales the gradients (float16).
        chunk_size: Pairs per pass, 0: all in one.
        seed: Of dropout and stochastic depth; chunk i uses seed + i.
    """
    with precision.step():
        if 0 < chunk_size < len(drone):
            return _in_chunks(network, loss, drone, satellite, precision, scaler, chunk_size, seed)
        descriptors = describe(network, precision, drone, satellite, seed)
        value: Tensor = loss(*map(distributed.gather, descriptors))
        # Not value.backward(): that method leaves the modes of `step`, and stages may be computed again here.
        torch.autograd.backward(scaler.scale(value))
    return value.item()


def _in_chunks(
    network: nn.Module, loss: InfoNCE, drone: Tensor, satellite: Tensor,
    precision: Precision, scaler: torch.amp.GradScaler, chunk_size: int, seed: int,
) -> float:  # fmt: skip
    """Gradient caching (Gao et al., 2021, "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup").

    By the chain rule the gradient of the weights is the sum over chunks of (d loss / d descriptors) times
    (d descriptors / d weights), and the first factor needs no activations. Each chunk holds both views. Batch
    norms in training mode see one chunk at a time, so there, as everywhere, the batch is then the chunk; their
    running statistics take each chunk in once.
    """
    chunks = list(zip(torch.split(drone, chunk_size), torch.split(satellite, chunk_size), strict=True))
    with torch.no_grad(), frozen_statistics(network):
        module = getattr(network, "module", network)  # DDP would exchange buffers even without a gradient
        parts = [describe(module, precision, *chunk, seed + i) for i, chunk in enumerate(chunks)]
    cached = [torch.cat(view).requires_grad_() for view in zip(*parts, strict=True)]  # two of b x D
    value: Tensor = loss(*map(distributed.gather, cached))
    torch.autograd.backward(scaler.scale(value))
    parts_of_gradient = (torch.split(view.grad, chunk_size) for view in cached if view.grad is not None)
    gradients = list(zip(*parts_of_gradient, strict=True))
    for index, (chunk, gradient) in enumerate(zip(chunks, gradients, strict=True)):
        if index < len(chunks) - 1:
            with distributed.local_gradients(network):
                _add_gradient(network, precision, chunk, gradient, seed + index)
        else:
            _add_gradient(network, precision, chunk, gradient, seed + index)
    return value.item()


def _add_gradient(
    network: nn.Module,
    precision: Precision,
    chunk: tuple[Tensor, Tensor],
    gradient: tuple[Tensor, ...],
    seed: int,
) -> None:
    descriptors = describe(network, precision, *chunk, seed)
    torch.autograd.backward(descriptors, gradient)
