"""Weights on disk: safetensors with the EncoderConfig and a content hash inside; import of the authors' files.

Format 1, in the header's string map: `format` "lkpan-encoder", `format_version` "1", `config` the EncoderConfig
as JSON, `content_sha256` over config, metadata and tensors, and any further keys as free metadata.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as safetensors_bytes
from torch import Tensor, nn

from lkpan_model import authors
from lkpan_model.authors import export_authors
from lkpan_model.config import VARIANTS, EncoderConfig
from lkpan_model.config import variant as named_variant
from lkpan_model.errors import CheckpointError, ConfigError
from lkpan_model.network import LKPAN
from lkpan_model.whole_file import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "Checkpoint",
    "export_authors",
    "hash_weights",
    "import_authors",
    "load",
    "resolve_weights",
    "save",
    "shipped_weights",
]

FORMAT = "lkpan-encoder"
FORMAT_VERSION = 1
_RESERVED = frozenset({"format", "format_version", "config", "content_sha256"})
_WEIGHTS_DIR = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class Checkpoint:
    """Weights in memory.

    Attributes:
        config: The architecture they belong to.
        state: State dict of `LKPAN(config)`: CPU, float32 (counters int64).
        weights_hash: SHA-256 over config and tensors as stored, hexadecimal: the identity of the weights.
        metadata: Free notes that came with the file.
    """

    config: EncoderConfig
    state: dict[str, Tensor]
    weights_hash: str
    metadata: dict[str, str] = field(default_factory=dict)

    def network(self) -> LKPAN:
        """The network with these weights, in evaluation mode; it shares the tensors of `state`."""
        network = copy.deepcopy(_empty_network(self.config))
        network.load_state_dict(self.state, assign=True)
        return network.eval()


def save(
    path: str | Path,
    network_or_state: nn.Module | Mapping[str, Tensor],
    config: EncoderConfig,
    *,
    half: bool = True,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write weights as one safetensors file; it appears under its name only when it is whole.

    Args:
        path: Ends in `.safetensors`.
        network_or_state: An `LKPAN`, or its state dict.
        config: Its architecture.
        half: Store matrices and kernels as float16. Vectors (norms, biases, layer scales) stay float32: they
            are small, and their range is not float16's.
        metadata: Free notes, such as the recipe.

    Raises:
        CheckpointError: The tensors do not fit the config, are not finite, or cannot be written.
    """
    path, notes = Path(path), dict(metadata or {})
    if path.suffix != ".safetensors":
        raise CheckpointError(f"weights are written as .safetensors, got {path}")
    if clash := sorted(_RESERVED & notes.keys()):
        raise CheckpointError(f"the metadata keys {clash} are the format's own; choose others")
    state = network_or_state.state_dict() if isinstance(network_or_state, nn.Module) else network_or_state
    _check_state(state, config, str(path))
    tensors = {name: _to_storage(name, tensor, half=half) for name, tensor in state.items()}
    header = {
        **notes,
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        "config": _to_json(config.to_dict()),
        "content_sha256": _hash_content(config, notes, tensors),
    }
    _write_atomically(path, safetensors_bytes(tensors, header))


def load(path: str | Path, variant: str | None = None) -> Checkpoint:
    """Read weights: ours (`.safetensors`), or the authors' (any other suffix, see `import_authors`).

    Args:
        path: The file.
        variant: The variant that it must be; for ours None accepts any, for the authors' None means `base`.

    Raises:
        CheckpointError: The file is missing, damaged, of a future version, of another variant, or does not
            hold exactly the tensors of its config.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"no weights file at {path}")
    if path.suffix != ".safetensors":
        return import_authors(path, variant or "base")
    header, tensors = _read_safetensors(path)
    config, notes = _read_header(header, path)
    if header.get("content_sha256") != _hash_content(config, notes, tensors):
        raise CheckpointError(
            f"{path} was altered or damaged (its content hash does not match): get it again"
        )
    if variant is not None and config.variant != variant:
        raise CheckpointError(f"{path} holds weights of variant {config.variant!r}, not {variant!r}")
    _check_state(tensors, config, str(path))
    state = {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}
    return Checkpoint(config, state, hash_weights(config, tensors), notes)


def import_authors(path: str | Path, variant: str = "base") -> Checkpoint:
    """Read a checkpoint of the LK-PAN authors: `torch.save` of {'epoch', 'model', 'best_acc', 'optimizer'}.

    Nothing in the file is executed (`weights_only=True`). A bare state dict is accepted as well.

    Raises:
        CheckpointError: The file is missing or damaged, would run code, or does not hold exactly the tensors
            of the variant.
    """
    path, config = Path(path), named_variant(variant)
    if not path.is_file():
        raise CheckpointError(f"no weights file at {path}")
    renamed = authors.import_authors(authors.read(path))
    _check_state(renamed, config, str(path))
    state = {name: (t.float() if t.is_floating_point() else t).contiguous() for name, t in renamed.items()}
    return Checkpoint(config, state, hash_weights(config, state), {"source": path.name})


def shipped_weights() -> dict[str, Path]:
    """The weights inside this package, by name."""
    return {path.stem: path for path in sorted(_WEIGHTS_DIR.glob("*.safetensors"))}


def resolve_weights(weights: str | Path) -> Path:
    """The file of shipped weights (`"lite"`), or the path itself.

    Raises:
        CheckpointError: Neither exists.
    """
    shipped, path = shipped_weights(), Path(weights)
    if str(weights) in shipped:
        return shipped[str(weights)]
    if path.is_file():
        return path
    names = ", ".join(shipped) or "none"
    raise CheckpointError(
        f"no weights named {str(weights)!r} (shipped: {names}) and no file at {path.absolute()}"
    )


def hash_weights(config: EncoderConfig, state: Mapping[str, Tensor]) -> str:
    """SHA-256 over config and tensors (names, dtypes, shapes, values), hexadecimal."""
    return _hash_content(config, {}, state)


def _hash_content(config: EncoderConfig, notes: Mapping[str, str], tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(_to_json([config.to_dict(), dict(notes)]).encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _to_json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _to_storage(name: str, tensor: Tensor, *, half: bool) -> Tensor:
    stored = tensor.detach().cpu().contiguous().clone()
    if not stored.is_floating_point():
        return stored
    stored = stored.float()
    if not bool(stored.isfinite().all()):
        raise CheckpointError(
            f"{name} holds values that are not finite: the training diverged, do not ship it"
        )
    fits = stored.abs().amax() <= torch.finfo(torch.float16).max
    return stored.half() if half and stored.ndim > 1 and fits else stored


def _write_atomically(path: Path, content: bytes) -> None:
    try:
        write_whole(path, content)
    except OSError as error:
        raise CheckpointError(f"cannot write {path}: {error}") from error


def _read_safetensors(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    # safetensors checks the header's length, shapes and offsets against the file's size before it allocates.
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 - not a dict
            return dict(file.metadata() or {}), tensors
    except (SafetensorError, OSError, ValueError, KeyError, AttributeError, RuntimeError, TypeError) as error:
        raise CheckpointError(f"{path} is truncated, damaged or no safetensors file ({error})") from error


def _read_header(header: Mapping[str, str], path: Path) -> tuple[EncoderConfig, dict[str, str]]:
    if header.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} is no LK-PAN encoder: format is {header.get('format')!r}, not {FORMAT!r}"
        )
    version = header.get("format_version", "")
    if not (version.isascii() and version.isdigit()) or int(version) < 1:
        raise CheckpointError(f"{path} has format version {version!r}, expected a whole number")
    if int(version) > FORMAT_VERSION:
        raise CheckpointError(
            f"{path} has format version {version}, this package reads up to {FORMAT_VERSION}: upgrade it"
        )
    try:
        values = json.loads(header.get("config", ""))
        config = EncoderConfig.from_dict(values if isinstance(values, dict) else {})
    except (ValueError, RecursionError, ConfigError) as error:
        raise CheckpointError(f"{path} has no readable encoder config: {error}") from error
    return config, {key: value for key, value in header.items() if key not in _RESERVED}


@functools.lru_cache(maxsize=8)
def _empty_network(config: EncoderConfig) -> LKPAN:
    """The network without memory for its weights: no time goes into random numbers, no size can hurt.

    It is shared: copy it before filling it.
    """
    with torch.device("meta"):
        return LKPAN(config)


def _check_state(state: Mapping[str, Tensor], config: EncoderConfig, source: str) -> None:
    try:
        expected = _empty_network(config).state_dict()
    except ConfigError as error:
        raise CheckpointError(f"{source} describes a network that cannot be built: {error}") from error
    if missing := expected.keys() - state.keys():
        raise CheckpointError(f"{source} lacks tensors of variant {config.variant!r}: {_list(missing)}")
    if unknown := state.keys() - expected.keys():
        raise CheckpointError(f"{source} has tensors unknown to variant {config.variant!r}: {_list(unknown)}")
    wrong = [
        f"{name} is {state[name].dtype} {tuple(state[name].shape)}, expected {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if state[name].shape != tensor.shape or state[name].is_floating_point() != tensor.is_floating_point()
    ]
    if wrong:
        raise CheckpointError(
            f"{source} does not fit {config.variant!r} at {config.image_size} px "
            f"(variants: {', '.join(VARIANTS)}): {_list(wrong)}"
        )


def _list(names: Iterable[str], limit: int = 20) -> str:
    ordered = sorted(names)
    more = f" and {len(ordered) - limit} more" if len(ordered) > limit else ""
    return ", ".join(ordered[:limit]) + more
