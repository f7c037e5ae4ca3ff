"""What an encoder asks of an engine, and what it says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Engine(Protocol):
    """A network, ready to run.

    Attributes:
        device: Where it runs: cpu, cuda:0.
        precision: Its arithmetic: fp32, bf16, fp16 or int8.
    """

    device: str
    precision: str

    def describe(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """RGB pixels B x S x S x 3 of the network's size to descriptors B x D of unit length."""
        ...


@dataclass(frozen=True)
class Order:
    """How an engine shall run.

    Attributes:
        engine: torch, openvino, onnxruntime.
        device: auto, cpu, cuda, cuda:N.
        precision: auto, fp32, bf16, fp16.
        batch_size: The most images that it will be given at a time.
        threads: On a CPU; None leaves the choice to the library.
    """

    engine: str = "torch"
    device: str = "auto"
    precision: str = "auto"
    batch_size: int = 32
    threads: int | None = None
