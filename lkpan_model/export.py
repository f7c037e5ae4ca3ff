"""Command line: weights in, a network for another library out.

python -m lkpan_model.export --weights lite --format onnx --output lite.onnx
python -m lkpan_model.export --weights lite --format openvino --int8 PICTURES --output lite_int8.xml

The network takes uint8 RGB pixels B x S x S x 3 (`pixels`) and gives unit-length descriptors B x D (`descriptors`): no
preprocessing but the resizing is left to its user. `Encoder(FILE, engine=...)` runs it, and so does TensorRT the ONNX one.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

FORMATS = {"onnx": ".onnx", "openvino": ".xml"}


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit status: 0, or 2 after an error, told in one line."""
    parser = argparse.ArgumentParser(prog="lkpan_model.export", description="Export a network.")
    add = parser.add_argument
    add("--weights", default="lite", help="shipped variant, or path of a .safetensors file (default: lite)")
    add("--format", required=True, choices=FORMATS)
    add(
        "--output",
        type=Path,
        metavar="FILE",
        help="default: NAME.onnx or NAME.xml of the weights' name, here",
    )
    add(
        "--int8",
        type=Path,
        metavar="FOLDER",
        help="quantise to 8 bits, for openvino; FOLDER holds 100 or more pictures of what the camera and the map will show",
    )
    options = parser.parse_args(arguments)
    # Imported here: torch takes seconds, and neither --help nor a wrong option should wait for it.
    from lkpan_model.errors import ModelError  # noqa: PLC0415
    from lkpan_model.exporting import export, read_pictures  # noqa: PLC0415

    suffix = FORMATS[options.format]
    output = options.output or Path(f"{Path(options.weights).stem}{'_int8' if options.int8 else ''}{suffix}")
    try:
        pictures = read_pictures(options.int8) if options.int8 else None
        print(export(options.weights, output, pictures))
    except (ModelError, OSError) as error:
        print("error:", *str(error).splitlines(), file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
