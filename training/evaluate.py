"""Measure an encoder on cross-view retrieval: R@1, R@5, R@10, R@1% and AP, in both directions of known datasets.

    python -m training.evaluate --weights lite --queries test/query_drone --gallery test/gallery_satellite

Folders are `view/<id>/<image>`. The metrics are those of the University-1652 baseline (`training.metrics`), except
that a tie never counts for the encoder. `--rotations 4` adds up the similarities of a query turned by 0, 90, 180 and
270 degrees; figures of one view and of the best rotation stand beside that sum. `--offsets` looks at each drone image
through the centred 3/4 window and the 40 variants of Offset-1652 as well, without writing a file.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from lkpan_model.config import variant
from lkpan_model.encoder import Encoder
from lkpan_model.engines.choice import ENGINES
from lkpan_model.engines.precision import PRECISIONS
from lkpan_model.errors import ConfigError, ModelError
from lkpan_model.network import LKPAN
from lkpan_model.whole_file import write_whole
from training.datasets import is_held_out
from training.evaluation_report import draw_offsets, file_name, table, to_json
from training.evaluation_run import Settings, evaluate_direction
from training.layouts import directions_of, read_view
from training.parser import Parser
from training.pretrained import imagenet_lite0

if TYPE_CHECKING:
    from collections.abc import Sequence

    from training.evaluation_run import Outcome
    from training.layouts import Direction


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; exit status 2 for bad settings or data, 130 after Ctrl-C."""
    try:
        evaluate(_parser().parse_args(arguments))
    except (ModelError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: the figures were not written", file=sys.stderr)
        return 130
    return 0


def evaluate(options: argparse.Namespace) -> dict[str, Any]:
    """Evaluate as the command line asks; prints tables and, last, one line of JSON, which is returned.

    Raises:
        ModelError: A setting, the weights or the data are wrong; the message names what and where.
        OSError: A result cannot be written.
    """
    began = time.monotonic()
    ids = tuple(entry for entry in options.ids.split(",") if entry)
    directions = directions_of(options.queries, options.gallery)[: 1 if options.one_direction else None]
    _check_ids(ids, directions[0])
    _check_outputs(options)  # before hours of work
    encoder = load_encoder(
        options.weights, options.device, options.precision, options.batch_size, options.engine
    )
    settings = Settings(
        offsets=options.offsets,
        rotations=options.rotations,
        keep=lambda name: not ids or is_held_out(name, ids),
        workers=options.workers,
        memory_bytes=int(options.memory_gb * 1e9),
    )
    title = f"{options.weights}: {encoder.identity}, {encoder.precision} on {encoder.device}"
    print(title + (f"; ids {options.ids}" if ids else ""))
    results = [_told(evaluate_direction(encoder, each, settings), title, options) for each in directions]
    result = {
        "weights": str(options.weights),
        "encoder": encoder.identity.to_dict(),
        "engine": options.engine,
        "device": encoder.device,
        "precision": encoder.precision,
        "rotations": options.rotations,
        "ids": list(ids),
        "directions": results,
        "elapsed_s": round(time.monotonic() - began, 1),
    }
    if options.json:
        write_whole(options.json, (json.dumps(result, indent=1) + "\n").encode())
    print(json.dumps(result))
    return result


def _told(outcome: Outcome, title: str, options: argparse.Namespace) -> dict[str, Any]:
    """A direction's figures as JSON, its table printed and its offsets drawn."""
    result = to_json(outcome)
    print(f"\n{table(outcome)}")
    if options.offsets:
        picture = options.output / file_name(outcome)
        draw_offsets(picture, outcome, title)
        result["offsets"]["picture"] = str(picture)
        print(f"map of the offsets: {picture}")
    return result


def load_encoder(
    weights: str, device: str, precision: str, batch_size: int, engine: str = "torch"
) -> Encoder:
    """Shipped weights by name, a file, or a baseline: `imagenet` or `random`, both of the `lite` variant's shape.

    `imagenet` is EfficientNet-Lite0 as trained on ImageNet with the mean of its feature map for a descriptor, since the
    attention and heads of LK-PAN mean nothing before training. `random` is an untrained `lite`, seed 0.

    Raises:
        ModelError: No such weights, or the device or precision is not available.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if weights == "imagenet":
            network = LKPAN(variant("lite", kernel_size=0, heads=0))
            imagenet_lite0(network)
        elif weights == "random":
            network = LKPAN(variant("lite"))
        else:
            return Encoder(weights, engine=engine, device=device, precision=precision, batch_size=batch_size)
    return Encoder.from_network(
        network,
        network.config,
        engine=engine,
        device=device,
        precision=precision,
        batch_size=batch_size,
    )


def _check_outputs(options: argparse.Namespace) -> None:
    if options.json and (options.json.is_dir() or not options.json.absolute().parent.is_dir()):
        raise ConfigError(f"--json {options.json}: give a file in a folder that exists")
    if options.offsets:
        options.output.mkdir(parents=True, exist_ok=True)


def _check_ids(ids: Sequence[str], direction: Direction) -> None:
    """Refuse an entry that is a slip of the pen: it would shrink the evaluation unnoticed."""
    if not ids:
        return
    known = {*read_view(direction.queries).ids, *read_view(direction.gallery).ids}
    for entry in ids:
        if not any(is_held_out(name, (entry,)) for name in known):
            raise ConfigError(
                f"--ids: {entry!r} fits no id of {direction.queries} (such as {min(known)}): give ids or ranges "
                "first-last, separated by commas"
            )


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m training.evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--weights", required=True, help="shipped (lite), a file, or a baseline: imagenet, random")
    add("--queries", type=Path, required=True, metavar="DIR", help="folder view/<id>/<image>")
    add("--gallery", type=Path, required=True, metavar="DIR", help="the other view of the same places")
    add("--offsets", action="store_true", help="also the 40 variants of Offset-1652, on the drone side")
    add(
        "--rotations",
        type=int,
        choices=(1, 4),
        default=1,
        help="quarter turns of a query, summed (default 1)",
    )
    add("--ids", default="", metavar="LIST", help="only these: 0110-0169,0330-0369, of queries and gallery")
    add("--one-direction", action="store_true", help="not the reverse direction of a known dataset")
    add("--json", type=Path, metavar="FILE", help="also write the last line to a file")
    default = Path("runs/evaluation")
    add("--output", type=Path, default=default, metavar="DIR", help="pictures (default %(default)s)")
    _add_computing(parser)
    return parser


def _add_computing(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--engine", default="torch", choices=ENGINES, help="default torch")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:N (default auto)")
    add("--precision", default="auto", choices=PRECISIONS, help="default auto")
    add("--batch-size", type=int, default=32, metavar="N", help="images a pass of the network (default 32)")
    add(
        "--workers",
        type=_whole,
        default=0,
        metavar="N",
        help="decoding threads (default: one a processor, at most 8)",
    )
    add(
        "--memory-gb",
        type=_positive,
        default=4.0,
        metavar="GB",
        help="descriptors beyond go to a temporary file (default 4)",
    )


def _whole(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"must be 0 or more, got {text}")
    return value


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"must be above 0, got {text}")
    return value


if __name__ == "__main__":
    sys.exit(main())
