from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from test.training.make import scene, write, write_pairs
from training.batches import Batches
from training.config import SourceConfig, TrainConfig
from training.datasets import DataError, load_source

if TYPE_CHECKING:
    from pathlib import Path

    from training.datasets import Source

SIZE = 32


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    write_pairs(tmp_path / "pairs", 40)
    write(tmp_path / "maps/a.png", scene(50, 480))
    overhead = SourceConfig("overhead", "maps/*.png", footprint_m=(40, 60), share=0.4)
    return TrainConfig(steps_per_epoch=3, batch_size=36, sources=(SourceConfig("pairs", "pairs"), overhead))


@pytest.fixture
def sources(config: TrainConfig, tmp_path: Path) -> list[Source]:
    return [load_source(source, tmp_path, SIZE) for source in config.sources]


def test_the_processes_rows_make_up_the_batch_of_one(config: TrainConfig, sources: list[Source]) -> None:
    whole = Batches(sources, config, SIZE).draw(4)
    assert whole[0].shape == whole[1].shape == (36, 3, SIZE, SIZE)
    for world in (2, 3, 4):
        parts = [Batches(sources, config, SIZE, rank, world).draw(4) for rank in range(world)]
        for view in range(2):
            assert all(len(part[view]) == 36 // world for part in parts)
            assert torch.equal(torch.cat([part[view] for part in parts]), whole[view])


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_prepared_ahead_or_not_the_batches_are_the_same(
    config: TrainConfig, sources: list[Source], workers: int
) -> None:
    expected = [Batches(sources, config, SIZE).draw(step) for step in (2, 3, 4)]
    stream = list(Batches(sources, replace(config, workers=workers), SIZE).stream(2, 5))
    assert len(stream) == 3
    for one, two in zip(expected, stream, strict=True):
        assert torch.equal(one[0], two[0])
        assert torch.equal(one[1], two[1])


def test_other_steps_and_seeds_give_other_batches(config: TrainConfig, sources: list[Source]) -> None:
    batches = Batches(sources, config, SIZE)
    first = batches.draw(0)[0]
    assert not torch.equal(first, batches.draw(1)[0])
    assert not torch.equal(first, batches.draw(3)[0])
    assert torch.equal(first, batches.draw(0)[0])
    assert not torch.equal(first, Batches(sources, replace(config, seed=1), SIZE).draw(0)[0])


def test_neighbours_share_batches(config: TrainConfig, sources: list[Source]) -> None:
    pairs_only = replace(config, batch_size=8, sources=config.sources[:1])
    batches = Batches(sources[:1], pairs_only, SIZE)
    neighbours = np.arange(40)[:, None] ^ np.array([[1]])  # 0 with 1, 2 with 3, ...
    batches.use_neighbours([neighbours])
    for block in (batches._blocks(step) for step in range(3)):
        places = {int(place) for part in block for place in part.places}
        assert {place ^ 1 for place in places} == places
    batches.use_neighbours(None)
    random = {int(place) for part in batches._blocks(0) for place in part.places}
    assert {place ^ 1 for place in random} != random


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_that_vanishes_stops_the_run_with_its_name(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setattr("training.datasets.MEMORY_BYTES", 0)  # images are read when they are drawn
    pairs = replace(config, workers=workers, sources=config.sources[:1])
    batches = Batches([load_source(pairs.sources[0], tmp_path, SIZE)], pairs, SIZE)
    for path in (tmp_path / "pairs/drone").rglob("*.png"):
        path.write_bytes(b"no image")
    with pytest.raises(DataError, match=r"pairs/drone/\d{4}/0.png"):
        list(batches.stream(0, 2))
