"""The table of Offset-1652, its boxes, and the draw of MIX."""

from __future__ import annotations

from collections import Counter
from pathlib import PurePosixPath

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.offsets import (
    CENTRE,
    VARIANTS,
    Box,
    OffsetError,
    Variant,
    crop_box,
    cut,
    describe_scaling,
    mix_variant,
    parse_variants,
)

ANY_VARIANT = st.sampled_from((CENTRE, *VARIANTS))


def test_the_table_holds_the_forty_in_order() -> None:
    assert len(set(VARIANTS)) == 40
    assert [v.name for v in VARIANTS[:6]] == [*(f"Offset-L-{step}" for step in range(1, 6)), "Offset-R-1"]
    assert [v.direction for v in VARIANTS[::5]] == ["L", "R", "U", "D", "LU", "RU", "LD", "RD"]
    assert CENTRE.name == "Centre"


@pytest.mark.parametrize(
    ("direction", "step", "left", "top"),
    [("C", 0, 64, 64), ("L", 1, 52, 64), ("L", 5, 4, 64), ("R", 5, 124, 64), ("U", 2, 64, 40), ("D", 3, 64, 100),
     ("LU", 5, 4, 4), ("RU", 1, 76, 52), ("LD", 4, 16, 112), ("RD", 5, 124, 124)],
)  # fmt: skip
def test_the_documented_boxes_at_512(direction: str, step: int, left: int, top: int) -> None:
    assert crop_box(Variant(direction, step)) == Box(left, top, 384)


@given(ANY_VARIANT, st.integers(1, 3000))
def test_boxes_lie_inside_any_image(variant: Variant, side: int) -> None:
    box = crop_box(variant, side)
    assert 0 <= box.left <= side - box.side
    assert 0 <= box.top <= side - box.side
    assert abs(box.side - 0.75 * side) <= 0.5
    x, y = variant.shift
    assert abs(box.left - side * (16 + 3 * x) / 128) <= 1.0
    assert abs(box.top - side * (16 + 3 * y) / 128) <= 1.0


@given(ANY_VARIANT, st.integers(1, 20))
def test_boxes_are_exact_where_128_divides_the_side(variant: Variant, scale: int) -> None:
    whole, small = crop_box(variant, 128 * scale), crop_box(variant, 128)
    assert (whole.left, whole.top, whole.side) == (small.left * scale, small.top * scale, small.side * scale)


@given(st.integers(0, 39), st.integers(96, 1000))
def test_the_window_moves_so_the_building_moves_the_other_way(index: int, side: int) -> None:
    variant = VARIANTS[index]
    centre, moved = crop_box(CENTRE, side), crop_box(variant, side)
    assert np.sign(moved.left - centre.left) == np.sign(variant.shift[0])
    assert np.sign(moved.top - centre.top) == np.sign(variant.shift[1])


def test_a_cut_is_a_view_of_the_very_pixels() -> None:
    image = np.arange(512 * 512 * 3, dtype=np.uint32).reshape(512, 512, 3).view(np.uint8)[:, :, :3]
    window = cut(image, Variant("L", 5))
    assert np.shares_memory(window, image)
    assert np.array_equal(window, image[64:448, 4:388])


def test_an_image_that_is_not_square_is_refused() -> None:
    with pytest.raises(OffsetError, match=r"960 x 540 px"):
        cut(np.zeros((540, 960, 3), np.uint8), CENTRE)


@pytest.mark.parametrize(("direction", "step"), [("L", 0), ("L", 6), ("C", 1), ("X", 1), ("l", 1)])
def test_what_is_not_in_the_table_is_refused(direction: str, step: int) -> None:
    with pytest.raises(OffsetError, match=repr(direction)):
        Variant(direction, step)


def test_variants_are_parsed_into_the_order_of_the_table() -> None:
    assert parse_variants("all") == VARIANTS
    assert parse_variants("Offset-RD-5, Offset-L-1") == (Variant("L", 1), Variant("RD", 5))


@pytest.mark.parametrize(
    ("text", "named"), [("Offset-L-6", "Offset-L-6"), ("", "''"), ("Offset-L-1,Offset-L-1", "twice"), ("Centre", "Centre")]
)  # fmt: skip
def test_wrong_names_of_variants_are_named(text: str, named: str) -> None:
    with pytest.raises(OffsetError, match=named):
        parse_variants(text)


def test_the_mix_is_uniform_and_depends_on_seed_and_path_alone() -> None:
    paths = [f"{place:04d}/image-{image:02d}.jpeg" for place in range(200) for image in range(40)]
    draw = [mix_variant(0, path) for path in paths]
    assert [mix_variant(0, PurePosixPath(path)) for path in reversed(paths)] == draw[::-1]
    counts = Counter(draw)
    assert len(counts) == 40
    assert sum((n - 200) ** 2 / 200 for n in counts.values()) < 80  # chi-square of 39 degrees of freedom
    other = [mix_variant(1, path) for path in paths]
    assert 0.01 < np.mean([a == b for a, b in zip(draw, other, strict=True)]) < 0.05


def test_the_mix_never_changes() -> None:
    """Published trees must stay reproducible."""
    drawn = [mix_variant(seed, "0001/image-01.jpeg").name for seed in range(4)]
    assert drawn == ["Offset-D-5", "Offset-D-4", "Offset-LD-5", "Offset-RU-4"]


def test_other_sizes_are_told() -> None:
    assert describe_scaling(512) is None
    assert "window of 96 px and steps of 3 px" in str(describe_scaling(128))
    assert "rounded" in str(describe_scaling(300))
