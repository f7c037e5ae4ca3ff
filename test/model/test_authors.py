"""The authors' checkpoints: their names, both ways, and nothing in them runs."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lkpan_model import checkpoint
from lkpan_model.authors import export_authors, import_authors
from lkpan_model.config import variant
from lkpan_model.errors import CheckpointError
from lkpan_model.network import LKPAN
from test.model.conftest import SMALL_CONVNEXT, SMALL_LITE


def documented_names() -> list[str]:
    """The keys of a ConvNeXt-B checkpoint, written out from the documentation."""
    names = [
        f"features.downsample_layers.{i}.{j}.{leaf}"
        for i in range(4)
        for j in range(2)
        for leaf in ("weight", "bias")
    ]
    for stage, depth in enumerate((3, 3, 27, 3)):
        for block in range(depth):
            key = f"features.stages.{stage}.{block}"
            names += [
                f"{key}.{m}.{leaf}"
                for m in ("dwconv", "norm", "pwconv1", "pwconv2")
                for leaf in ("weight", "bias")
            ]
            names.append(f"{key}.gamma")
    names += [f"feature_enhancer.channel_attention.{i}.weight" for i in (1, 3)]
    names += [f"feature_enhancer.spatial_conv.{i}.weight" for i in (0, 3)]
    statistics = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    names += [f"feature_enhancer.spatial_conv.{i}.{leaf}" for i in (1, 4) for leaf in statistics]
    names += [
        f"spatial_aware.fc.{d}.{j}.{leaf}" for d in range(8) for j in range(2) for leaf in ("weight", "bias")
    ]
    return [f"model.{name}" for name in names]


UNUSED = {
    "model.features.norm.weight": torch.ones(1024),
    "model.features.norm.bias": torch.zeros(1024),
    "model.features.frequency_selection.freq_weight_conv_list.0.weight": torch.zeros(1, 3, 3, 3),
    "model.features.frequency_selection.freq_weight_conv_list.0.bias": torch.zeros(1),
}


@pytest.fixture(scope="module")
def convnext_state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return dict(LKPAN(SMALL_CONVNEXT).state_dict())


@pytest.mark.parametrize("prefix", ["", "module."])
def test_documented_keys_map_both_ways(prefix: str) -> None:
    documented = documented_names()
    state = {f"{prefix}{key}": torch.tensor(index) for index, key in enumerate(documented)}
    extras = {f"{prefix}{key}": tensor for key, tensor in UNUSED.items()}
    ours = import_authors({**state, **extras})
    with torch.device("meta"):
        assert ours.keys() == LKPAN(variant("base")).state_dict().keys()
    back = export_authors(ours)
    assert {key: int(value) for key, value in back.items()} == {key: i for i, key in enumerate(documented)}


@pytest.mark.usefixtures("_small_variants")
@pytest.mark.parametrize("prefix", ["", "module."])
def test_authors_file_gives_the_same_weights(
    convnext_state: dict[str, torch.Tensor], tmp_path: Path, prefix: str
) -> None:
    model = OrderedDict((f"{prefix}{k}", t) for k, t in {**export_authors(convnext_state), **UNUSED}.items())
    optimizer = {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 1e-4, "params": [0]}]}
    content = {"epoch": 10, "model": model, "best_acc": np.float64(0.92), "optimizer": optimizer}
    torch.save(content, tmp_path / "model_best.pth.tar")
    loaded = checkpoint.load(tmp_path / "model_best.pth.tar", "small-convnext")
    assert loaded.config == SMALL_CONVNEXT
    assert loaded.state.keys() == convnext_state.keys()
    assert all(torch.equal(loaded.state[name], tensor) for name, tensor in convnext_state.items())


@pytest.mark.usefixtures("_small_variants")
def test_authors_file_with_missing_or_unknown_keys_lists_them(
    convnext_state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    model = export_authors(convnext_state)
    path = tmp_path / "model.pth"
    torch.save({"model": {k: t for k, t in model.items() if "fc.7.1.bias" not in k}}, path)
    with pytest.raises(CheckpointError, match=r"lacks tensors .*heads\.7\.1\.bias"):
        checkpoint.import_authors(path, "small-convnext")
    torch.save({"model": {**model, "module.model.features.surprise": torch.zeros(1)}}, path)
    with pytest.raises(CheckpointError, match=r"unknown .*module\.model\.features\.surprise"):
        checkpoint.import_authors(path, "small-convnext")
    torch.save({"model": model}, path)
    with pytest.raises(CheckpointError, match=r"variant 'base'.* more"):
        checkpoint.import_authors(path)


class Payload:
    """Unpickling it writes a file."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.write_text, (self.trace, "ran"))


@pytest.mark.parametrize("is_zip", [True, False])
def test_code_in_a_checkpoint_does_not_run(tmp_path: Path, *, is_zip: bool) -> None:
    trace, path = tmp_path / "trace", tmp_path / "model.pth"
    content = {"model": {}, "epoch": Payload(trace)}
    torch.save(content, path, _use_new_zipfile_serialization=is_zip)
    with pytest.raises(CheckpointError, match="would run code"):
        checkpoint.load(path)
    assert not trace.exists()


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 broken zip", b"\x80\x02."])
def test_no_checkpoint_at_all_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match="cannot be read as tensors"):
        checkpoint.load(tmp_path / "model.pth")


@pytest.mark.parametrize("content", [[1, 2], {"model": 3}, {"model": {"a": "b"}}])
def test_checkpoint_without_tensors_is_named(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "model.pth")
    with pytest.raises(CheckpointError, match="no state dict"):
        checkpoint.load(tmp_path / "model.pth")


def test_lite_has_no_authors_names() -> None:
    with pytest.raises(CheckpointError, match="ConvNeXt variants only"):
        export_authors(LKPAN(SMALL_LITE).state_dict())
