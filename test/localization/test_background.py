"""How similar a view is to places where it is not, read off a sample of the gallery."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from lkpan_ros.localization.background import Background, Chance
from lkpan_ros.localization.config import LocalizerConfig
from test.localization.galleries import make_gallery, unit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lkpan_ros.localization.gallery import Gallery

DIM = 64
TILES = 5000


def square_gallery(descriptors: NDArray[np.float32]) -> Gallery:
    """Tiles of 32 m every 16 m; the order is by rows, as plans are."""
    side = int(np.ceil(np.sqrt(len(descriptors))))
    rows, columns = np.divmod(np.arange(len(descriptors)), side)
    return make_gallery(descriptors, np.stack([columns * 16.0, -rows * 16.0], axis=1))


@pytest.fixture(scope="module")
def gallery() -> Gallery:
    return square_gallery(unit(np.random.default_rng(0), TILES, DIM))


def like(tile: NDArray[np.float32], similarity: float, seed: int = 1) -> NDArray[np.float32]:
    """(1, D) of a view that is so similar to a tile and to others as chance has it."""
    other = unit(np.random.default_rng(seed), 1, len(tile))[0]
    other -= (other @ tile) * tile
    view = similarity * tile + np.sqrt(1.0 - similarity**2) * other / np.linalg.norm(other)
    return np.asarray(view, np.float32)[None]


def test_the_same_gallery_and_view_give_the_same(gallery: Gallery) -> None:
    view = unit(np.random.default_rng(5), 1, DIM)
    assert Background(gallery).chance(view) == Background(gallery).chance(view)


def test_more_rivals_raise_what_has_to_be_exceeded() -> None:
    """By as much as the best of more foreign tiles is more alike."""
    view = unit(np.random.default_rng(6), 1, DIM)
    chances = []
    for count in (TILES, 4 * TILES):
        descriptors = np.resize(unit(np.random.default_rng(0), TILES, DIM), (count, DIM))
        chances.append(
            Background(square_gallery(np.repeat(descriptors[:TILES], count // TILES, 0))).chance(view)
        )
    assert chances[1].mean - chances[0].mean == pytest.approx(np.log(4.0) * chances[0].spread, rel=0.3)
    assert chances[1].spread == pytest.approx(chances[0].spread, rel=0.3)


def test_a_foreign_place_lies_a_few_standard_deviations_above_and_the_right_one_clearly_more(
    gallery: Gallery,
) -> None:
    """The foreign ones are the best of the gallery each; hardly any of them is as much alike as it takes."""
    background, descriptors = Background(gallery), gallery.descriptors(np.arange(TILES))
    foreign, right = [], []
    for seed in range(30):
        view = unit(np.random.default_rng(100 + seed), 1, DIM)
        foreign.append(background.chance(view).exceeded_by((descriptors @ view[0]).max(keepdims=True))[0])
        view = like(descriptors[40 * seed], 0.8, seed)
        right.append(background.chance(view).exceeded_by(descriptors[[40 * seed]] @ view[0])[0])
    needed = LocalizerConfig().similarity.none_of_these
    assert 2.0 < np.median(foreign) < 6.0
    assert np.quantile(foreign, 0.9) < needed < min(right)


def test_the_place_itself_is_no_background(gallery: Gallery) -> None:
    """Where it happens to be in the sample, with what lies about it, it does not raise what it has to exceed."""
    sampled = np.linspace(0, TILES - 1, 1024).round().astype(int)[500]
    tile = gallery.descriptors(np.array([sampled]))[0]
    background = Background(gallery)
    there, elsewhere = background.chance(like(tile, 0.95)), background.chance(like(tile, 0.0))
    # Counted in, it alone would more than double the spread.
    assert there.spread == pytest.approx(elsewhere.spread, rel=0.4)
    assert there.mean == pytest.approx(elsewhere.mean, rel=0.1)


def test_the_best_of_several_turns_counts_as_in_a_search(gallery: Gallery) -> None:
    views = unit(np.random.default_rng(8), 8, DIM)
    background = Background(gallery)
    assert background.chance(views).mean > max(background.chance(view[None]).mean for view in views)


@pytest.mark.parametrize("count", [1, 2, 9])
def test_galleries_of_few_or_equal_tiles_have_a_spread(count: int) -> None:
    descriptors = np.repeat(unit(np.random.default_rng(0), 1, DIM), count, axis=0)
    chance = Background(square_gallery(descriptors)).chance(descriptors[:1])
    assert chance.mean == pytest.approx(1.0, abs=1e-3)
    assert chance.spread > 0.0
    assert np.isfinite(chance.exceeded_by(np.array([0.5, 1.0]))).all()


def test_what_exceeds_it_is_counted_in_its_spread() -> None:
    assert Chance(0.3, 0.05).exceeded_by(np.array([0.3, 0.45, 0.2])) == pytest.approx([0.0, 3.0, -2.0])
