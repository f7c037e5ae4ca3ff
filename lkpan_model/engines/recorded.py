"""Networks recorded for one shape of input and compiled by oneDNN Graph: convolutions, activations and sums in one pass.

It is the compiler that torch brings along for processors: ready in half a second for EfficientNet-Lite and three for
ConvNeXt-B, where `torch.compile` needs a C++ compiler and a minute. It belongs to TorchScript, which torch calls
deprecated and may drop: without it networks run as they are, half as fast. It is not taken at its word either: what
it makes must describe as the network does.
"""

from __future__ import annotations

import logging
import platform
import warnings
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lkpan_model.config import EncoderConfig

_log = logging.getLogger(__name__)

_ONE_AT_A_TIME = Lock()  # torch has one switch for all threads
_NEEDED = {
    torch.jit: ("enable_onednn_fusion", "onednn_fusion_enabled"),
    torch._C: ("_create_graph_by_tracing", "_create_function_from_graph"),  # noqa: SLF001 - see `_script`
}
_TRIED = ("x86_64", "AMD64")  # names of the processors that it has been tried on
_WARM_UP = 3  # the first call is watched, the second compiles, the third lays the weights out
# Least cosine between the network's descriptors and the recorded ones', in the same arithmetic.
_SAME = {torch.float32: 0.9999, torch.bfloat16: 0.999}


def is_available(dtype: torch.dtype, config: EncoderConfig) -> bool:
    """Whether this torch has the compiler, and it takes the numbers on this processor and the network."""
    has_onednn: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if not has_onednn or not all(hasattr(room, name) for room, names in _NEEDED.items() for name in names):
        return False
    if platform.machine() not in _TRIED:
        return False
    if config.cells == 1:
        return False  # what it makes of ConvNeXt crashes there: it takes planes of one cell for channels last
    # Without AVX-512 torch's own layers still compute in bfloat16, slowly; oneDNN refuses.
    return dtype != torch.bfloat16 or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # noqa: SLF001 - told nowhere else


def recorded(network: nn.Module, images: Tensor, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    """The network for inputs of one shape; the network itself where it cannot be recorded, or then describes otherwise.

    Args:
        network: In evaluation mode, on the CPU, with weights that ask for no gradients; to be called in
            `torch.inference_mode`.
        images: uint8, an input of the shape.
        dtype: The network's arithmetic.
    """
    others = 255 - images  # what holds for the recorded input alone must not pass
    try:
        with _ONE_AT_A_TIME, warnings.catch_warnings(), _compiler():
            warnings.simplefilter("ignore")  # that checks of shapes are recorded as passed
            script = _script(network, images)
            for _ in range(_WARM_UP):
                described = script(others)
    except RuntimeError as error:
        _log.warning("oneDNN Graph does not take the network (%s): it runs without", _cause(error))
        return network
    cosine = float(F.cosine_similarity(described, network(others)).min())
    if not cosine >= _SAME[dtype]:
        _log.warning("oneDNN Graph changes the descriptors (cosine %.5f): the network runs without", cosine)
        return network
    return script


def _cause(error: RuntimeError) -> str:
    """TorchScript says last, below what it was doing, what went wrong; other errors say it first."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1 if lines[0].startswith("The following operation failed") else 0]


def _script(network: nn.Module, images: Tensor) -> Callable[[Tensor], Tensor]:
    """What `torch.jit.trace` does. That keeps all it ever recorded, and the weights with it, until the process ends."""
    internals: Any = torch._C  # noqa: SLF001 - nothing public lets go of a recording
    is_strict, is_out_of_place = True, False
    graph, _ = internals._create_graph_by_tracing(  # noqa: SLF001
        lambda pixels: network(pixels),  # noqa: PLW0108 - of a module it would ask for the weights as inputs
        (images,),
        lambda _value: "",  # names for readers
        is_strict,
        is_out_of_place,
    )
    script: Callable[[Tensor], Tensor] = internals._create_function_from_graph("encode", graph)  # noqa: SLF001
    return script


@contextmanager
def _compiler() -> Iterator[None]:
    """OneDNN Graph switched on, for all of the process, as torch has it."""
    before = torch.jit.onednn_fusion_enabled()  # type: ignore[no-untyped-call]
    torch.jit.enable_onednn_fusion(True)  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        torch.jit.enable_onednn_fusion(before)  # type: ignore[no-untyped-call]
