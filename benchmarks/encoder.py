"""Time from pixels to descriptors, beside a plain float32 eager run of the same network.

The peer is what one writes first: pixels to float32 planes (NCHW), ImageNet's mean and std taken off, the network of the
published architecture in `torch.inference_mode`, the descriptors back as NumPy. (The published code also passes the image
through a Fourier transform and back, which changes nothing; the peer is spared that.) All take turns on the same
images; all must agree with the peer, to a cosine of 0.9999 and more.

Cases: `lite` (shipped weights, 192 px) with 1 and 16 images at a time, and `base` (random weights, 384 px) with 1. Where there
is an NVIDIA GPU, the same on it, with 64 images too; the way to the GPU and back is inside the times.

    python -m benchmarks.encoder [--repeats 15] [--threads 2] [--device auto]
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from benchmarks.measuring import Row, in_turns, publish, ratios
from lkpan_model.checkpoint import load, resolve_weights
from lkpan_model.config import variant
from lkpan_model.encoder import Encoder
from lkpan_model.engines.precision import choose_device, cpu_has_bf16
from lkpan_model.network import LKPAN
from lkpan_model.preprocess import normalise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Describe = Callable[[NDArray[np.uint8]], NDArray[np.float32]]

PEER = "plain float32 eager"
SAME = 0.9999  # least cosine to the peer
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
        pixels = torch.from_numpy(images).to(device).permute(0, 3, 1, 2).contiguous()
        described: NDArray[np.float32] = network(normalise(pixels)).cpu().numpy()
        return described

    return describe


def contenders(network: LKPAN, device: str, threads: int) -> Iterator[tuple[str, Encoder, float | None]]:
    """Name, encoder and bar of each."""
    bars = {"lite": 2.5, "base": 2.5 if cpu_has_bf16() else 1.5}
    bar = bars[network.config.variant] if device == "cpu" else None
    encoder = Encoder.from_network(network, network.config, device=device, threads=threads, batch_size=64)
    yield f"torch {encoder.precision}, the default", encoder, bar


def measure(
    name: str, batches: list[int], device: str, options: argparse.Namespace
) -> tuple[list[Row], dict[str, float]]:
    """Rows of a network on a device, and the least cosine of each contender to the peer."""
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    network = NETWORKS[name]()
    others = list(contenders(network, device, options.threads))
    describers: dict[str, Describe] = {PEER: plain(network, torch.device(device))}
    describers |= {title: encoder.encode for title, encoder, _ in others}
    size = network.config.image_size
    rows: list[Row] = []
    cosines: dict[str, float] = {}
    for batch in batches:
        case = f"{name} {size} px, {batch} at a time, {device_name(device)}"
        images = np.random.default_rng(batch).integers(0, 256, (batch, size, size, 3), np.uint8)
        described = {title: describe(images) for title, describe in describers.items()}
        for title, found in described.items():
            cosines[f"{case}: {title}"] = cosine = float((found * described[PEER]).sum(axis=1).min())
            if not cosine >= SAME:
                raise SystemExit(f"{case}: {title} has a cosine of {cosine:.6f} to the peer")
        tasks = {title: partial(describe, images) for title, describe in describers.items()}
        seconds = in_turns(tasks, options.repeats)
        times = {title: [1e3 * value for value in turns] for title, turns in seconds.items()}
        rows.append(Row(case, PEER, times[PEER], "ms"))
        for title, _, bar in others:
            rows.append(Row(case, title, times[title], "ms", ratios(times[PEER], times[title]), bar))
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
    options = parser.parse_args()
    found = choose_device(options.device).type
    devices = ["cpu", "cuda"] if options.device == "auto" and found == "cuda" else [found]
    rows: list[Row] = []
    cosines: dict[str, float] = {}
    for device in devices:
        cases = ON_A_CPU if device == "cpu" else CASES
        for name in NETWORKS:
            found_rows, found_cosines = measure(name, [b for n, b in cases if n == name], device, options)
            rows += found_rows
            cosines |= found_cosines
    return publish("encoder", rows, vars(options), {"least_cosine": cosines})


if __name__ == "__main__":
    sys.exit(main())
