from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lkpan_ros.simulation.appearance import MAP_APPEARANCE, Appearance, Material, Season
from lkpan_ros.simulation.canvas import Box, Canvas
from lkpan_ros.simulation.layout import make_plan
from lkpan_ros.simulation.lighting import direct_light
from lkpan_ros.simulation.painter import Painter
from lkpan_ros.simulation.world import make_world

if TYPE_CHECKING:
    from lkpan_ros.simulation.world import World


def test_a_seed_makes_the_same_bytes_each_time(world: World) -> None:
    again = make_world(seed=0, size_m=240.0, gsd_m=0.6)
    assert np.array_equal(world.height, again.height)
    assert np.array_equal(world.material, again.material)
    day = Appearance.random(5)
    assert np.array_equal(world.texture(day), again.texture(day))


def test_another_seed_makes_another_world(world: World) -> None:
    other = make_world(seed=4, size_m=240.0, gsd_m=0.6)
    assert (world.material != other.material).mean() > 0.3


def test_the_world_of_a_seed_is_the_one_the_weights_were_trained_on(world: World) -> None:
    # Shares of the ground as they were when the shipped weights were trained; the model card rests on them.
    share = {material: float((world.material == material).mean()) for material in Material}
    assert share[Material.ASPHALT] == pytest.approx(0.2541, abs=0.002)
    assert share[Material.ROOF] == pytest.approx(0.0536, abs=0.002)
    assert share[Material.DECIDUOUS] == pytest.approx(0.1074, abs=0.002)
    assert float(world.height.mean()) == pytest.approx(1.839, abs=0.02)


def test_buildings_and_trees_stand_up_and_roads_lie_flat(world: World) -> None:
    assert (world.height[world.material == Material.ROOF] > 1.5).mean() > 0.9
    assert world.height[world.material == Material.ROOF].max() > 4.0
    assert (world.height[world.material == Material.DECIDUOUS] > 1.0).mean() > 0.9
    assert world.height[world.material == Material.ASPHALT].max() == 0.0


def test_a_season_changes_colours_and_not_geometry(world: World) -> None:
    before = world.height.copy(), world.material.copy()
    summer = world.texture(MAP_APPEARANCE).astype(float)
    autumn = world.texture(replace(MAP_APPEARANCE, season=Season.AUTUMN)).astype(float)
    trees, road = world.material == Material.DECIDUOUS, world.material == Material.ASPHALT
    greenness = [(image[..., 1] - image[..., 0])[trees].mean() for image in (summer, autumn)]
    assert greenness[0] > 8.0 > -5.0 > greenness[1]
    assert np.abs(summer - autumn)[road].mean() < 3.0
    assert np.array_equal(before[0], world.height)
    assert np.array_equal(before[1], world.material)


def test_other_cars_are_parked_on_another_day(world: World) -> None:
    one, other = (world.texture(replace(MAP_APPEARANCE, variant=variant)).astype(int) for variant in (0, 1))
    changed = (np.abs(one - other) > 20).any(axis=2)
    assert 0.0002 < changed.mean() < 0.05


@pytest.mark.parametrize(("azimuth_deg", "row", "column"), [(180.0, -1, 0), (90.0, 0, -1), (0.0, 1, 0)])
def test_shadows_fall_away_from_the_sun_and_are_as_long_as_they_must(
    azimuth_deg: float, row: int, column: int
) -> None:
    height = np.zeros((200, 200), np.float32)
    height[95:105, 95:105] = 20.0
    light = direct_light(height, 0.5, Appearance(sun_azimuth_deg=azimuth_deg, sun_elevation_deg=45.0))
    edge = np.array([99.5 + row * 5, 99.5 + column * 5])
    at = [tuple(np.rint(edge + np.array([row, column]) * metres / 0.5).astype(int)) for metres in (3, 18, 22)]
    assert light[at[0]] < 30
    assert light[at[1]] < 30
    assert light[at[2]] > 110  # the sun at 45 degrees casts as far as the tower is high
    opposite = tuple(np.rint(99.5 - np.array([row, column]) * 20).astype(int))
    assert light[opposite] > 110


@pytest.mark.parametrize(("size_m", "gsd_m"), [(50.0, 0.3), (np.nan, 0.3), (300.0, 0.0), (6000.0, 0.3)])
def test_a_world_that_cannot_be_is_refused(size_m: float, gsd_m: float) -> None:
    with pytest.raises(ValueError, match="give"):
        make_world(0, size_m, gsd_m)


def test_a_block_that_is_too_narrow_for_a_court_gets_no_trees() -> None:
    """It used to end the making of worlds of some seeds."""
    painter = Painter(Canvas(100, 1.0), np.random.default_rng(0))
    painter.scatter(Box(50.0, 50.0, 20.0, -1.0, 0.0), 2.0)
    assert not painter.canvas.height.any()


def test_districts_nearly_in_a_line_make_no_endless_road() -> None:
    """Two borders of this plan meet 39,000 km away."""
    plan = make_plan(np.random.default_rng([326, 0x1F]), 300.0)
    assert max(np.abs(road.points).max() for road in plan.roads) < 100_000.0
