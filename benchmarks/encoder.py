"""Time from pixels to descriptors, beside a plain float32 eager run of the same network.

The peer is what one writes first: pixels to float32 planes (NCHW), ImageNet's mean and std taken off, the network of the
published architecture in `torch.inference_mode`, the descriptors back as NumPy. `base` is the published network, which
passes the image through a Fourier transform and back first (it changes nothing; 1 to 2 % of the time). All take turns on
the same images; all must agree with the peer, to a cosine of 0.9999 and more (8 bits: 0.99).

Cases: `lite` (shipped weights, 192 px) with 1 and 16 images at a time, and `base` (random weights, 384 px) with 1. Where there
is an NVIDIA GPU, the same on it, with 64 images too; the way to the GPU and back is inside the times. With one thread it is
processor time that is measured, which a busy machine disturbs little.

    python -m benchmarks.encoder [--repeats 15] [--threads 2] [--device auto] [--int8 lite base]
"""

from __future__ import annotations

import argparse
import copy
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from benchmarks.measuring import Row, in_turns, publish, ratios
from benchmarks.offset1652 import make_image
from lkpan_model.checkpoint import load, resolve_weights, save
from lkpan_model.config import variant
from lkpan_model.encoder import Encoder
from lkpan_model.engines.precision import choose_device, cpu_has_bf16
from lkpan_model.exporting import export
from lkpan_model.network import LKPAN
from lkpan_model.preprocess import normalise, to_squares

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Describe = Callable[[NDArray[np.uint8]], NDArray[np.float32]]

PEER = "plain float32 eager"
SAME, SAME_INT8 = 0.9999, 0.99  # least cosine to the peer
# Least ratio to the peer; in float32 that of `base`, where there is no bfloat16.
BAR, BAR_FP32, BAR_INT8 = 2.5, 1.5, 4.0
PICTURES = 30
CASES = (("lite", 1), ("lite", 16), ("lite", 64), ("base", 1), ("base", 16))
ON_A_CPU = CASES[:2] + CASES[3:4]
NETWORKS = {
    "lite": lambda: load(resolve_weights("lite")).network(),
    "base": lambda: LKPAN(variant("base")).eval(),
}


def plain(network: LKPAN, device: torch.device) -> Describe:
    """The peer."""
    network = network.to(device)

    @torch.inference_mode()
    def describe(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        pixels = normalise(torch.from_numpy(images).to(device).permute(0, 3, 1, 2).contiguous())
        if network.config.variant == "base":  # the published frequency selection: every frequency, times 1
            pixels = torch.fft.ifft2(torch.fft.fft2(pixels)).real
        described: NDArray[np.float32] = network(pixels).cpu().numpy()
        return described

    return describe


@dataclass(frozen=True)
class Contender:
    """An encoder.

    Attributes:
        title: For the table.
        encoder: Runs the network.
        bar: Least ratio to the peer; None: none.
        least_cosine: To the peer's descriptors.
    """

    title: str
    encoder: Encoder
    bar: float | None = None
    least_cosine: float = SAME


def contenders(network: LKPAN, device: str, batch: int, options: argparse.Namespace) -> Iterator[Contender]:
    """Torch, and on a CPU the other engines that are installed, in float32 or what is as good."""
    start = partial(Encoder.from_network, network, network.config, threads=options.threads, batch_size=batch)
    encoder = start(device=device)
    on_cpu, is_lite = device == "cpu", network.config.variant == "lite"
    bar = BAR if is_lite or cpu_has_bf16() else BAR_FP32
    yield Contender(f"torch {encoder.precision}, the default", encoder, bar if on_cpu else None)
    if on_cpu and encoder.precision != "fp32":  # what a processor without bfloat16 runs
        yield Contender("torch fp32", start(device=device, precision="fp32"))
    for engine in ("openvino", "onnxruntime") if on_cpu else ():
        if find_spec(engine):
            encoder = start(engine=engine)
            yield Contender(f"{engine} {encoder.precision}", encoder)


def quantised(network: LKPAN, device: str, options: argparse.Namespace) -> Iterator[Contender]:
    """On a CPU the network as `lkpan_model.export --int8` writes it, its ranges taken from made pictures."""
    variant_name = network.config.variant
    if device != "cpu" or variant_name not in options.int8 or not find_spec("nncf"):
        return
    print(f"quantising {variant_name} ...", flush=True)
    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        weights, path = Path(folder) / "weights.safetensors", Path(folder) / "int8.xml"
        save(weights, network, network.config, half=False)
        export(weights, path, [make_image(rng) for _ in range(PICTURES)])
        encoder = Encoder(path, engine="openvino", threads=options.threads)
    yield Contender("openvino int8", encoder, None if variant_name == "lite" else BAR_INT8, SAME_INT8)


def measure(
    name: str, batches: list[int], device: str, options: argparse.Namespace
) -> tuple[list[Row], dict[str, float]]:
    """Rows of a network on a device, and the least cosine of each contender to the peer."""
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    network = NETWORKS[name]()
    peer = plain(copy.deepcopy(network), torch.device(device))
    size = network.config.image_size
    rows: list[Row] = []
    cosines: dict[str, float] = {}
    in_8_bits = list(quantised(network, device, options))
    for batch in batches:
        others = [*contenders(network, device, batch, options), *in_8_bits]
        describers: dict[str, Describe] = {PEER: peer} | {o.title: o.encoder.encode for o in others}
        least = {PEER: SAME} | {other.title: other.least_cosine for other in others}
        case = f"{name} {size} px, {batch} at a time, {device_name(device)}"
        rng = np.random.default_rng(batch)
        images = to_squares([make_image(rng) for _ in range(batch)], size)
        described = {title: describe(images) for title, describe in describers.items()}
        for title, found in described.items():
            cosines[f"{case}: {title}"] = cosine = float((found * described[PEER]).sum(axis=1).min())
            if not cosine >= least[title]:
                raise SystemExit(f"{case}: {title} has a cosine of {cosine:.6f} to the peer")
        tasks = {title: partial(describe, images) for title, describe in describers.items()}
        clock = time.process_time if options.threads == 1 and device == "cpu" else time.perf_counter
        seconds = in_turns(tasks, options.repeats, clock)
        times = {title: [1e3 * value for value in turns] for title, turns in seconds.items()}
        rows.append(Row(case, PEER, times[PEER], "ms"))
        rows += [
            Row(case, o.title, times[o.title], "ms", ratios(times[PEER], times[o.title]), o.bar)
            for o in others
        ]
        print(f"{case}: done", flush=True)
    return rows, cosines


def device_name(device: str) -> str:
    """For the table."""
    return "CPU" if device == "cpu" else torch.cuda.get_device_name(device)


def main() -> int:
    """Command line; exit status as `publish` says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="auto", help="auto: the CPU, and the GPU where there is one")
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument(
        "--int8", nargs="*", default=["lite", "base"], help="quantise these (minutes for base)"
    )
    options = parser.parse_args()
    found = choose_device(options.device).type
    devices = ["cpu", "cuda"] if options.device == "auto" and found == "cuda" else [found]
    rows: list[Row] = []
    cosines: dict[str, float] = {}
    for device in devices:
        cases = ON_A_CPU if device == "cpu" else CASES
        for name in options.networks:
            found_rows, found_cosines = measure(name, [b for n, b in cases if n == name], device, options)
            rows += found_rows
            cosines |= found_cosines
    return publish("encoder", rows, vars(options), {"least_cosine": cosines})


if __name__ == "__main__":
    sys.exit(main())
