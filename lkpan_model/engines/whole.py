"""The network from pixels on, as it is handed to other libraries."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING

import torch
from torch import nn

from lkpan_model.engines.extras import extra
from lkpan_model.engines.folding import fold, is_sequential
from lkpan_model.preprocess import Normalisation

if TYPE_CHECKING:
    from lkpan_model.network import LKPAN

INPUT, OUTPUT = "pixels", "descriptors"


def whole(network: LKPAN) -> nn.Module:
    """uint8 RGB B x S x S x 3 to float32 B x D of unit length; the network is changed."""
    if is_sequential(network.config):
        fold(network)
    return nn.Sequential(Normalisation(), network).eval().requires_grad_(requires_grad=False)


def example(network: LKPAN) -> torch.Tensor:
    """An input of `whole`."""
    size = network.config.image_size
    return torch.zeros(2, size, size, 3, dtype=torch.uint8)


def onnx_bytes(network: LKPAN) -> bytes:
    """`whole` as an ONNX file, for any number of images; the network is changed.

    Raises:
        DeviceError: The package onnx is not installed.
    """
    extra("onnx", "an ONNX network")  # torch asks for it halfway
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # that it is recorded for one size, and that there is another exporter
        torch.onnx.export(
            whole(network),
            (example(network),),
            file,  # type: ignore[arg-type]  # it takes more than paths
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_axes={INPUT: {0: "images"}, OUTPUT: {0: "images"}},
            dynamo=False,  # which takes 8 s in place of 0.5, and a package more
        )
    return file.getvalue()
