"""The authors' checkpoints: reading them, and their key names to ours and back."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from lkpan_model.errors import CheckpointError
from lkpan_model.torch_file import read_torch_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

# (authors' pattern, our replacement). Theirs is ConvNeXt's original naming, ours timm's.
_TO_OURS = (
    (r"features\.downsample_layers\.0\.(\d+)\.(.+)", r"backbone.body.stem_\1.\2"),
    (r"features\.downsample_layers\.(\d+)\.(\d+)\.(.+)", r"backbone.body.stages_\1.downsample.\2.\3"),
    (r"features\.stages\.(\d+)\.(\d+)\.dwconv\.(.+)", r"backbone.body.stages_\1.blocks.\2.conv_dw.\3"),
    (r"features\.stages\.(\d+)\.(\d+)\.pwconv([12])\.(.+)", r"backbone.body.stages_\1.blocks.\2.mlp.fc\3.\4"),
    (r"features\.stages\.(\d+)\.(\d+)\.(norm\..+|gamma)", r"backbone.body.stages_\1.blocks.\2.\3"),
    (r"feature_enhancer\.(.+)", r"attention.\1"),
    (r"spatial_aware\.fc\.(\d+)\.(.+)", r"aggregation.heads.\1.\2"),
)
_TO_AUTHORS = (
    (r"backbone\.body\.stem_(\d+)\.(.+)", r"features.downsample_layers.0.\1.\2"),
    (r"backbone\.body\.stages_(\d+)\.downsample\.(\d+)\.(.+)", r"features.downsample_layers.\1.\2.\3"),
    (r"backbone\.body\.stages_(\d+)\.blocks\.(\d+)\.conv_dw\.(.+)", r"features.stages.\1.\2.dwconv.\3"),
    (
        r"backbone\.body\.stages_(\d+)\.blocks\.(\d+)\.mlp\.fc([12])\.(.+)",
        r"features.stages.\1.\2.pwconv\3.\4",
    ),
    (r"backbone\.body\.stages_(\d+)\.blocks\.(\d+)\.(norm\..+|gamma)", r"features.stages.\1.\2.\3"),
    (r"attention\.(.+)", r"feature_enhancer.\1"),
    (r"aggregation\.heads\.(\d+)\.(.+)", r"spatial_aware.fc.\1.\2"),
)
# The head's norm is never applied. The frequency selection filters the image in the Fourier domain, but with
# one group, a softmax over that one channel and one band for the whole spectrum each weight is 1: the identity.
_UNUSED = re.compile(r"features\.(norm|frequency_selection)\..+")


def read(path: Path) -> dict[str, Tensor]:
    """The `model` state dict of a file by `torch.save`, under the names in the file; nothing in it is executed.

    Raises:
        CheckpointError: The file is damaged, would run code, or holds no state dict.
    """
    # The best accuracy beside the model is often a NumPy number: plain data, which must be named to be accepted.
    scalar = np.float64(0).__reduce__()[0]
    allowed: list[Any] = [(scalar, "numpy.core.multiarray.scalar"), (scalar, "numpy._core.multiarray.scalar")]
    allowed += [np.dtype, type(np.dtype(np.float64)), type(np.dtype(np.float32))]
    try:
        content = read_torch_file(path, allowed)
    except Exception as error:  # a damaged archive raises nearly anything
        raise CheckpointError(
            f"{path} cannot be read as tensors (truncated, damaged, or it would run code): {error}"
        ) from error
    model = content.get("model", content) if isinstance(content, dict) else None
    if not isinstance(model, dict) or not all(isinstance(tensor, Tensor) for tensor in model.values()):
        raise CheckpointError(f"{path} holds no state dict (expected tensors, or them under the key 'model')")
    return {str(key): tensor for key, tensor in model.items()}


def import_authors(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The authors' `model` state dict under our names; keys that we do not know keep their own.

    `module.` (DistributedDataParallel) and `model.` prefixes are taken off. The final norm and the frequency
    selection are dropped, since neither changes a descriptor.
    """
    bare = {
        key.removeprefix("module.").removeprefix("model."): (key, tensor) for key, tensor in state.items()
    }
    return {
        _rename(name, _TO_OURS) or key: tensor
        for name, (key, tensor) in bare.items()
        if not _UNUSED.fullmatch(name)
    }


def export_authors(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our state dict of a ConvNeXt variant under the authors' names (with `model.`, without `module.`).

    What import dropped is not made up: their code loads the result with `strict=False`.

    Raises:
        CheckpointError: A key has no counterpart there (the variant `lite` has another backbone).
    """
    exported: dict[str, Tensor] = {}
    for key, tensor in state.items():
        name = _rename(key, _TO_AUTHORS)
        if name is None:
            raise CheckpointError(
                f"{key} has no name in the authors' checkpoints, which hold ConvNeXt variants only"
            )
        exported[f"model.{name}"] = tensor
    return exported


def _rename(key: str, table: Sequence[tuple[str, str]]) -> str | None:
    for pattern, replacement in table:
        if match := re.fullmatch(pattern, key):
            return match.expand(replacement)
    return None
