"""Networks to files for other libraries, in float32 or quantised to 8 bits."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lkpan_model import preprocess
from lkpan_model.checkpoint import load, resolve_weights
from lkpan_model.encoder import identity_of
from lkpan_model.engines.extras import extra
from lkpan_model.engines.openvino_cpu import converted
from lkpan_model.engines.whole import onnx_bytes
from lkpan_model.errors import CheckpointError, InputError
from lkpan_model.exported import SUFFIXES, Exported, write_manifest
from lkpan_model.whole_file import write_whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lkpan_model.network import LKPAN

PICTURES = (".jpg", ".jpeg", ".png", ".webp")
MOST_PICTURES = 300  # more change the ranges little, and each takes time
LEAST_PICTURES = 10

# What stays in float32, by the names of the nodes: the first layers, whose merged batch norms have gains of a hundred in
# `lite`, and all after the backbone, which costs little time and shapes the descriptor directly. Of `lite` besides what
# answers worst to pictures unlike those that the ranges are from: with it in 8 bits the cosine falls to 0.95 there.
_NOT_QUANTISED = (
    ".*__module.0.*",  # normalisation
    ".*conv_stem.*",
    ".*stem_0.*",
    ".*body.blocks.[0156].*",
    ".*conv_head.*",
    ".*attention.*",
    ".*aggregation.*",
    ".*__module.1/.*",  # the descriptor's length
)


def export(weights: str | Path, output: Path, pictures: Sequence[NDArray[np.uint8]] | None = None) -> str:
    """Write a network and its manifest, and say what was written.

    Args:
        weights: As of `Encoder`, not exported ones.
        output: `.onnx`, or `.xml` for OpenVINO, beside which a `.bin` appears.
        pictures: uint8 RGB H x W x 3, to find the ranges of 8-bit numbers; None: float32.

    Raises:
        CheckpointError: The weights cannot be read, or the output not be written.
        DeviceError: A library is missing.
        InputError: Too few pictures.
    """
    path = resolve_weights(weights)
    if path.suffix in SUFFIXES:
        raise CheckpointError(f"{path} is exported already: give the weights that it was made from")
    if output.suffix not in SUFFIXES or (pictures is not None and output.suffix != ".xml"):
        fitting = ".xml: 8 bits are for OpenVINO" if pictures is not None else ".onnx or .xml (OpenVINO)"
        raise CheckpointError(f"cannot write {output}: give a name that ends in {fitting}")
    checkpoint = load(path)
    network = checkpoint.network().requires_grad_(requires_grad=False)
    precision = "fp32" if pictures is None else "int8"
    try:
        if output.suffix == ".onnx":
            write_whole(output, onnx_bytes(network))
        else:
            _write_openvino(output, network, pictures)
    except OSError as error:
        raise CheckpointError(f"cannot write {output}: {error}") from error
    identity = identity_of(checkpoint)
    manifest = write_manifest(Exported(output, identity, precision))
    return f"{output} and {manifest.name} beside it: {identity}, {precision}"


def read_pictures(folder: Path) -> list[NDArray[np.uint8]]:
    """At most 300 pictures of a folder and those in it, evenly over their names, as uint8 RGB.

    Raises:
        InputError: There is no such folder, or a picture cannot be read.
    """
    import cv2  # noqa: PLC0415 - needed for this alone

    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURES)
    if not folder.is_dir():
        raise InputError(f"--int8 {folder}: give a folder of pictures")
    step = max(1, -(-len(paths) // MOST_PICTURES))
    pictures = []
    for path in paths[::step]:
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if image is None:
            raise InputError(f"{path} cannot be read as a picture: remove or replace it")
        pictures.append(np.ascontiguousarray(image[:, :, ::-1], dtype=np.uint8))
    return pictures


def _write_openvino(output: Path, network: LKPAN, pictures: Sequence[NDArray[np.uint8]] | None) -> None:
    size = network.config.image_size
    model = converted(network)
    if pictures is not None:
        model = _quantised(model, preprocess.to_squares(pictures, size))
    with tempfile.TemporaryDirectory(dir=output.parent) as folder:
        written = Path(folder) / output.name
        extra("openvino", "format openvino").save_model(model, written, compress_to_fp16=False)
        for suffix in (".bin", ".xml"):
            write_whole(output.with_suffix(suffix), written.with_suffix(suffix).read_bytes())


def _quantised(model: Any, pixels: NDArray[np.uint8]) -> Any:
    """The model with 8-bit convolutions and products."""
    if len(pixels) < LEAST_PICTURES:
        raise InputError(
            f"{len(pixels)} pictures are too few to find the ranges of 8-bit numbers: give 100 or more"
        )
    nncf = extra("nncf", "8-bit export")
    nncf.set_log_level(logging.ERROR)
    return nncf.quantize(
        model,
        nncf.Dataset(list(pixels), lambda picture: picture[None]),
        preset=nncf.QuantizationPreset.PERFORMANCE,  # symmetric: shifted ranges cost a pass over every map
        subset_size=len(pixels),
        fast_bias_correction=False,  # the fast one leaves a cosine of 0.97 in place of 0.995
        ignored_scope=nncf.IgnoredScope(patterns=list(_NOT_QUANTISED), validate=False),
    )
