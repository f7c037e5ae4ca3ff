"""Sign galleries, weights and calibrations, so that a node with `gallery.public_key` takes yours and no others.

python -m lkpan_ros.tools.sign keygen --output mission
python -m lkpan_ros.tools.sign sign --key mission.key city.gallery
python -m lkpan_ros.tools.sign sign --key mission.key --output /maps lite
python -m lkpan_ros.tools.sign verify --public-key mission.pub city.gallery
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lkpan_ros.errors import SignatureError
from lkpan_ros.localization.signature import (
    make_keys,
    read_private_key,
    read_public_key,
    signature_name,
    write_signature,
)
from lkpan_ros.tools.cli import run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lkpan_ros.localization.signature import Kind


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns its exit status: 2 where a file is not as it is signed."""
    options = _parser().parse_args(arguments)
    return run(lambda: options.command(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lkpan_ros.tools.sign",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="keygen|sign|verify")
    keygen = commands.add_parser("keygen", help="make a key pair")
    keygen.add_argument(
        "--output", type=Path, required=True, metavar="NAME", help="NAME.key stays with you, NAME.pub flies"
    )
    keygen.set_defaults(command=_keygen)
    sign = commands.add_parser("sign", help="write FILE.sig for each file")
    sign.add_argument("--key", type=Path, required=True, metavar="NAME.key", help="made by keygen")
    sign.add_argument(
        "--output", type=Path, metavar="FOLDER", help="of the signatures (default: beside each file)"
    )
    sign.set_defaults(command=_sign)
    verify = commands.add_parser("verify", help="tell whether files are as their signatures say")
    verify.add_argument("--public-key", type=Path, required=True, metavar="NAME.pub", help="made by keygen")
    verify.add_argument("--signatures", type=Path, metavar="FOLDER", help="where signatures may be as well")
    verify.set_defaults(command=_verify)
    for command in (sign, verify):
        command.add_argument(
            "files",
            nargs="+",
            metavar="FILE",
            help="gallery, weights or shipped variant, exported network, calibration (.json)",
        )
    return parser


def _keygen(options: argparse.Namespace) -> None:
    name = options.output.name
    if not name or not options.output.parent.is_dir():
        raise SignatureError(
            f"--output {options.output}: give the name of the keys in a folder that exists, such as mission"
        )
    private, public = options.output.with_name(f"{name}.key"), options.output.with_name(f"{name}.pub")
    key = make_keys(private, public)
    print(
        f"{private}: keep it, off the vehicle\n{public}: for gallery.public_key (fingerprint {key.fingerprint})"
    )


def _sign(options: argparse.Namespace) -> None:
    key = read_private_key(options.key)
    contents = [_content(given) for given in options.files]  # all of them, before the first is signed
    for path, kind, sha256 in contents:
        signature = (options.output or path.parent) / signature_name(path)
        write_signature(signature, key, kind, sha256)
        print(f"{signature}: {kind} {sha256}")


def _verify(options: argparse.Namespace) -> None:
    key = read_public_key(options.public_key)
    if options.signatures is not None and not options.signatures.is_dir():
        raise SignatureError(f"--signatures {options.signatures}: is no folder; give that of the signatures")
    for given in options.files:
        path, kind, sha256 = _content(given)
        key.require(kind, path, sha256, options.signatures)
        print(f"{path}: {kind} {sha256}, signed by {key.fingerprint}")


def _content(given: str) -> tuple[Path, Kind, str]:
    """The file, its kind and the hash of its content, once it is known to be whole."""
    from lkpan_model.checkpoint import resolve_weights  # noqa: PLC0415 - torch takes seconds to import
    from lkpan_ros.localization import calibration_file, gallery_file  # noqa: PLC0415
    from lkpan_ros.localization.signed_weights import weights_content  # noqa: PLC0415

    path = Path(given)
    if path.suffix and not path.is_file():
        raise SignatureError(f"{path}: there is no such file; give a gallery, weights or a calibration")
    if path.suffix == ".json":
        return path, "calibration", calibration_file.content_hash(calibration_file.read_calibration(path))
    if gallery_file.is_gallery(path):
        return path, "gallery", gallery_file.read(path)[2]
    weights = resolve_weights(given)
    return weights, "weights", weights_content(weights)


if __name__ == "__main__":
    sys.exit(main())
