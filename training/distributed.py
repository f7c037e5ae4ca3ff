"""One process, or many started by `torchrun`: each takes its part of the same global batch.

Without torchrun every function does what is right for a single process.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch
from timm.layers import convert_sync_batchnorm  # type: ignore[attr-defined]
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

from lkpan_model.errors import ConfigError, DeviceError
from training.device import choose_device

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from training.config import TrainConfig

T = TypeVar("T")
_TIMEOUT = timedelta(hours=2)  # the others wait while the first process validates


@contextmanager
def processes(config: TrainConfig) -> Iterator[torch.device]:
    """Join the processes that torchrun started, if it did; gives this process's device.

    Raises:
        DeviceError: There is no such device, or the other processes cannot be reached.
        ConfigError: The batch cannot be split evenly.
    """
    device = choose_device(config.device, int(os.environ.get("LOCAL_RANK", "0")))
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield device
        return
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    try:
        dist.init_process_group(backend, timeout=_TIMEOUT)
    except (ValueError, RuntimeError) as error:
        raise DeviceError(
            f"the processes cannot find each other ({error}): start them by torchrun"
        ) from error
    try:
        if config.batch_size % size():
            raise ConfigError(
                f"batch_size {config.batch_size} cannot be split evenly over {size()} processes"
            )
        yield device
    finally:
        dist.destroy_process_group()


def rank() -> int:
    """This process's number, from 0, as torchrun tells it."""
    return int(os.environ.get("RANK", "0"))


def size() -> int:
    """Number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_main() -> bool:
    """Whether this is the process that writes files, validates and talks."""
    return rank() == 0


def parallel(network: nn.Module, device: torch.device) -> nn.Module:
    """The network whose gradients are averaged over all processes (DDP).

    On CUDA batch norms are synchronised, so that they see the whole batch. PyTorch has no such thing on the CPU:
    there each process normalises by its own part of the batch, unless batch norms are frozen.
    """
    if size() == 1:
        return network
    if device.type == "cuda":
        network = convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        return DistributedDataParallel(network, device_ids=[device.index])
    return DistributedDataParallel(network)


def local_gradients(network: nn.Module) -> AbstractContextManager[object]:
    """Within this, backward passes add up gradients without averaging them; the next one outside does it."""
    is_parallel = isinstance(network, DistributedDataParallel)
    return cast("DistributedDataParallel", network).no_sync() if is_parallel else nullcontext()


class _Gather(torch.autograd.Function):
    """Rows of all processes, in the order of their ranks.

    Every process computes the whole loss of the same gathered rows, so each knows the gradient of its own rows
    without asking the others. DDP then takes the mean over N processes where the sum is meant: hence the factor.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        ctx.own = slice(rank() * len(rows), (rank() + 1) * len(rows))
        parts = [torch.empty_like(rows, memory_format=torch.contiguous_format) for _ in range(size())]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0][ctx.own] * size()


def gather(rows: Tensor) -> Tensor:
    """Rows b x D of each process, of equal b, to N b x D; gradients flow back to this process's own rows."""
    return cast("Tensor", _Gather.apply(rows)) if size() > 1 else rows  # type: ignore[no-untyped-call]


def average_gradients(module: nn.Module) -> None:
    """Give a small module that stands outside DDP the same gradients in all processes."""
    if size() > 1:
        for parameter in module.parameters():
            if parameter.grad is not None:
                dist.all_reduce(parameter.grad)
                parameter.grad /= size()


def any_process(flag: bool) -> bool:  # noqa: FBT001 - it is the value
    """Whether it holds in any process; all of them must ask."""
    if size() == 1:
        return flag
    value = torch.tensor(int(flag))
    dist.all_reduce(value, dist.ReduceOp.MAX)
    return bool(value)


def from_main(value: T | None) -> T:
    """What the first process passes in, in every process; the others wait for it."""
    values = [value]
    if size() > 1:
        dist.broadcast_object_list(values, device=torch.device("cpu"))
    return cast("T", values[0])
