"""What each process of the distributed tests runs: `torchrun -m test.training.distributed_worker CONFIG DATA OUT`.

With OUT the loss and gradient of the first batch are written there; without, the whole training runs.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from lkpan_model.config import VARIANTS
from test.training.conftest import SMALL
from training import config as train_config
from training import distributed, stages
from training.batches import Batches
from training.datasets import load_source
from training.device import Precision
from training.gradient_cache import backward
from training.run import start
from training.train import train

if TYPE_CHECKING:
    from training.config import TrainConfig


def first_gradient(config: TrainConfig, root: Path, out: Path) -> None:
    """Loss and gradient of the first batch, as the first process has them."""
    with distributed.processes(config) as device:
        precision = Precision(config.precision, device)
        run = start(config, precision)
        stages.set_training_mode(
            run.network, config.frozen_stages, freeze_batch_norm=config.freeze_batch_norm
        )
        sources = [load_source(source, root, SMALL.image_size) for source in config.sources]
        batches = Batches(sources, config, SMALL.image_size, distributed.rank(), distributed.size())
        network = distributed.parallel(run.network, device)
        loss = backward(
            network, run.loss, *batches.draw(0),
            precision=precision, scaler=run.scaler, chunk_size=config.chunk_size, seed=1,
        )  # fmt: skip
        distributed.average_gradients(run.loss)
        trained = {**dict(run.network.named_parameters()), **dict(run.loss.named_parameters())}
        if distributed.is_main():
            torch.save({"loss": loss, "gradient": {n: p.grad for n, p in trained.items()}}, out)


if __name__ == "__main__":
    torch.set_num_threads(1)
    VARIANTS[SMALL.variant] = SMALL
    settings = train_config.load(Path(sys.argv[1]))
    if len(sys.argv) > 3:
        first_gradient(settings, Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        train(settings, Path(sys.argv[2]))
