"""Parameter files, as a node reads them when it starts."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import rclpy
from rclpy.node import Node

from lkpan_ros.localization.config import LocalizerConfig
from lkpan_ros.node.parameters import NodeConfig, declare, warn_of_unknown
from lkpan_ros.node.process import NAMED
from test.fuzz.decoder import Decoder, seeds, write
from test.fuzz.mutation import damaged, damaged_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from random import Random


@lru_cache
def _context() -> rclpy.Context:
    context = rclpy.Context()
    rclpy.init(context=context)
    return context


def _parameters(rng: Random, folder: Path) -> Callable[[], object]:
    data = rng.choice(seeds("parameters/*.yaml"))
    content = damaged(rng, data) if rng.random() < 0.3 else damaged_text(rng, data.decode(), "\n: ,")
    path = write(folder, "a.yaml", content)
    context = _context()
    return lambda: _start(path, context)


def _start(path: Path, context: rclpy.Context) -> None:
    arguments = ["--ros-args", "--params-file", str(path)]
    node = Node("localizer", context=context, cli_args=arguments, use_global_arguments=False, start_parameter_services=False, enable_rosout=False)  # fmt: skip
    try:
        declare(node, LocalizerConfig())
        declare(node, NodeConfig())
        warn_of_unknown(node)
    finally:
        node.destroy_node()


DECODERS = (Decoder("parameter YAML", _parameters, NAMED),)
