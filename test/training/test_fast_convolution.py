"""The faster backward pass of convolutions gives the same gradients."""

from __future__ import annotations

import torch

from lkpan_model.network import LKPAN
from test.training.conftest import SMALL
from training.fast_convolution import Float32ConvolutionBackward


def test_float32_backward_gives_the_gradients_of_plain_convolution() -> None:
    network = LKPAN(SMALL).train()
    images = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    target = torch.randn(4, network.config.descriptor_dim, generator=torch.Generator().manual_seed(1))
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    gradients = []
    for fast in (False, True):
        network.load_state_dict(state)
        network.zero_grad()
        if fast:
            with Float32ConvolutionBackward():
                output = network(images)
        else:
            output = network(images)
        (output * target).sum().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None]))
    assert torch.nn.functional.cosine_similarity(gradients[0], gradients[1], dim=0) > 0.9999
