"""Candidates where the track expects the view, beside those that the search of the whole gallery gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lkpan_ros.localization.refinement import Expected
from lkpan_ros.localization.retrieval import about_hypotheses, joined, rows_of
from test.localization.patches import matches_at, view_of
from test.localization.thumbnails import Thumbnails

if TYPE_CHECKING:
    from lkpan_ros.localization.gallery import Gallery
    from test.localization.conftest import Ground


def test_the_tile_next_to_each_expected_view_is_looked_at(ground: Ground, plain_gallery: Gallery) -> None:
    descriptors = Thumbnails().encode([view_of(ground, place).patch for place in ((0.0, 0.0), (60.0, 60.0))])
    expected = [
        Expected(61.0, 55.0, 9.0, turn_deg=50.0), Expected(5000.0, 0.0, 9.0), Expected(-31.0, 12.0, 9.0)
    ]  # fmt: skip
    found = about_hypotheses(plain_gallery, descriptors, expected, [0.0, 45.0])
    places = [tuple(matches.position_m[0].tolist()) for matches in found]
    assert np.allclose(places, [(60.0, 60.0), (-30.0, 0.0)], atol=0.5)
    assert found[0].rotation[0] == 1
    assert found[0].turn_deg[0] == 45.0
    assert found[0].similarity[0] > 0.99
    assert found[1].rotation[0] == 0


def test_nothing_is_expected_before_the_first_frame(plain_gallery: Gallery) -> None:
    descriptors = np.zeros((1, plain_gallery.descriptor_dim), np.float32)
    assert about_hypotheses(plain_gallery, descriptors, [], [0.0]) == []


def test_rows_and_joins_keep_every_column() -> None:
    first, then = matches_at([(0.0, 0.0), (1.0, 0.0)]), matches_at([(2.0, 0.0)])
    whole = joined([rows_of(first, np.array([1])), first], then)
    assert whole.position_m[:, 0].tolist() == [1.0, 0.0, 1.0, 2.0]
    assert {len(column) for column in vars(whole).values()} == {4}
