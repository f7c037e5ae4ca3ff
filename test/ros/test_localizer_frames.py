"""The localizer in its own process: a picture goes in over DDS, a fix or an honest refusal comes out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import Quaternion
from sensor_msgs.msg import Imu, NavSatFix

from lkpan_ros.localization.camera import Attitude
from lkpan_ros.localization.types import Odometry
from lkpan_ros.node.image_messages import to_image_message
from test.ros.camera import message_with
from test.ros.world import TILE

if TYPE_CHECKING:
    from test.ros.camera import Answer, Camera
    from test.ros.graph import LocalizerProcess
    from test.ros.world import SmallWorld

pytestmark = [pytest.mark.ros, pytest.mark.slow]


@pytest.mark.parametrize("tile", [0, TILE, 23])
def test_a_picture_of_the_map_is_found_where_it_was_taken(
    camera: Camera, world: SmallWorld, tile: int
) -> None:
    stamp = camera.stamp()
    answer = camera.ask(world.view(tile), stamp)
    assert answer.fixed, answer.report
    assert answer.report["reference"] == "vehicle"
    assert float(answer.report["probability"]) > 0.6
    assert world.metres_off(answer.fix.latitude, answer.fix.longitude, tile) < 5.0
    assert world.metres_off(answer.view.latitude, answer.view.longitude, tile) < 5.0
    assert answer.fix.header.stamp == stamp
    assert answer.fix.header.frame_id == "base_link"
    assert answer.fix.position_covariance_type == NavSatFix.COVARIANCE_TYPE_APPROXIMATED
    assert answer.fix.position_covariance[0] >= 1.0


def test_a_turned_picture_is_found_by_its_heading(camera: Camera, world: SmallWorld) -> None:
    picture = np.ascontiguousarray(np.rot90(world.view(TILE)))  # its top now points east
    picture = np.pad(picture, ((0, 0), (60, 60), (0, 0)))[60:420]
    answer = camera.ask(picture, body=Attitude(0.0, 90.0))
    assert answer.fixed, answer.report
    assert world.metres_off(answer.fix.latitude, answer.fix.longitude, TILE) < 5.0


def test_an_oblique_camera_is_told_from_the_ground_that_it_sees(camera: Camera, world: SmallWorld) -> None:
    """The same picture, said to be tilted ahead, puts the vehicle behind the ground seen."""
    strict = camera.ask(world.view(TILE), body=Attitude(2.0, 0.0))
    assert strict.fixed, strict.report
    behind_m = (strict.view.latitude - strict.fix.latitude) * 111_200.0
    assert behind_m == pytest.approx(100.0 * math.tan(math.radians(2.0)), abs=0.5)


# Bad pictures


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({"height": 0}, "the size is zero"),
        ({"height": 361}, "the message is truncated"),
        ({"encoding": "rgb9"}, "unknown encoding"),
        ({"step": 7}, "a row needs 1440 bytes"),
        ({"width": 4_000_000_000}, "more than 100000000 pixels"),
    ],
)
def test_a_bad_picture_is_refused_with_its_reason(
    camera: Camera, world: SmallWorld, fields: dict[str, Any], detail: str
) -> None:
    camera.ask(message_with(world.view(TILE), **fields)).assert_refused("bad_image", detail)


def test_a_picture_that_shows_nothing_is_refused(camera: Camera) -> None:
    camera.ask(np.full((360, 480, 3), 90, np.uint8)).assert_refused("bad_image")


def test_a_big_endian_picture_with_padding_is_found(camera: Camera, world: SmallWorld) -> None:
    numbers = np.zeros((360, 485, 3), ">u2")
    numbers[:, :480] = world.view(TILE)[..., ::-1].astype(np.uint16) << 8
    message = to_image_message(np.frombuffer(numbers.tobytes(), np.uint8).reshape(360, 970, 3))
    message.width, message.encoding, message.is_bigendian = 480, "bgr16", 1
    answer = camera.ask(message)
    assert answer.fixed, answer.report
    assert world.metres_off(answer.fix.latitude, answer.fix.longitude, TILE) < 5.0


# Stamps


def test_a_stamp_that_repeats_or_goes_back_is_refused_until_a_reset(
    camera: Camera, world: SmallWorld, localizer: LocalizerProcess
) -> None:
    stamp = camera.stamp()
    assert camera.ask(world.view(TILE), stamp).fixed
    camera.ask(world.view(TILE), stamp, first=False).assert_refused("stale_frame", "reset")
    before = Time(sec=stamp.sec - 1, nanosec=500_000_000)
    camera.ask(world.view(TILE), before, first=False).assert_refused("stale_frame")
    localizer.reset()
    assert camera.ask(world.view(TILE), before, first=False).fixed


def test_pictures_of_a_clock_that_has_gone_back_are_found_after_the_third(
    camera: Camera, world: SmallWorld, localizer: LocalizerProcess
) -> None:
    def ask(stamp: Time) -> Answer:
        return camera.ask(world.view(TILE), stamp, first=False)

    assert camera.ask(world.view(TILE)).fixed
    ask(Time(sec=100)).assert_refused("stale_frame")  # by itself it is merely late
    assert ask(camera.stamp()).fixed
    for second in (100, 101):
        ask(Time(sec=second)).assert_refused("stale_frame")
    assert ask(Time(sec=102)).fixed
    assert ask(Time(sec=103)).fixed
    warning = camera.diagnosis(lambda _, values: values["clock_jumps"] == "1")
    assert warning.level == DiagnosticStatus.WARN
    assert "the clock of the pictures has gone back" in warning.message
    assert "the clock of the pictures has gone back" in localizer.process.output


# What the other sensors say, or do not


def test_odometry_reaches_the_frame_from_samples_about_its_time(
    camera: Camera, world: SmallWorld, localizer: LocalizerProcess
) -> None:
    def odometry_of(*poses: tuple[Odometry, float]) -> str:
        """What is reported for a picture with odometry so many seconds from it."""
        stamp = camera.stamp()
        camera.sense(stamp)
        for pose, after_s in poses:
            nanoseconds = round((stamp.sec + after_s) * 1e9)
            camera.move(pose, Time(sec=nanoseconds // 10**9, nanosec=nanoseconds % 10**9))
        return camera.answer_to(lambda: camera.send(world.view(TILE), stamp)).report["odometry"]

    moving = Odometry(np.array([1.0, 2.0, 3.0]), np.eye(3))
    assert odometry_of() == "none"
    # What is published before both sides have found each other is lost.
    assert any(odometry_of((moving, -0.1), (moving, 0.1)) == "used" for _ in range(50))
    assert odometry_of((moving, -0.15)) == "used"
    assert odometry_of((moving, -0.5), (moving, 0.5)) == "none"
    nowhere = Odometry(np.array([math.nan, 0.0, 0.0]), np.eye(3))
    assert odometry_of((nowhere, 0.0)) == "none"
    assert (
        "a sample on odom is ignored: the position [nan, 0.0, 0.0] is not finite" in localizer.process.output
    )


def test_an_attitude_that_is_none_is_refused(camera: Camera, world: SmallWorld) -> None:
    broken = Imu(orientation=Quaternion(w=math.nan))
    camera.ask(world.view(TILE), imu=broken).assert_refused("view_invalid", "no unit quaternion")


def test_without_orientation_the_fix_is_the_views_and_says_so(camera: Camera, world: SmallWorld) -> None:
    silent = Imu()
    silent.orientation_covariance[0] = -1.0
    answer = camera.ask(world.view(TILE), imu=silent)
    assert answer.fixed, answer.report
    assert answer.report["reference"] == "view"
    assert world.metres_off(answer.view.latitude, answer.view.longitude, TILE) < 5.0
    assert answer.fix.position_covariance[0] > 100.0**2


@pytest.mark.parametrize("height_m", [0.0, -5.0])
def test_a_camera_on_the_ground_is_refused(camera: Camera, world: SmallWorld, height_m: float) -> None:
    answer = camera.ask(world.view(TILE), height_m=height_m)
    if height_m < 0.0:  # outside what the sensor says that it can measure: the height is unknown
        assert answer.report["reference"] == "view"
    else:
        answer.assert_refused("view_invalid", "height")


def test_the_horizon_in_view_is_refused(camera: Camera, world: SmallWorld) -> None:
    camera.ask(world.view(TILE), body=Attitude(85.0, 0.0)).assert_refused("view_invalid")


def test_without_camera_info_the_fix_is_the_views_and_says_so(
    camera: Camera, world: SmallWorld, localizer: LocalizerProcess
) -> None:
    assert localizer.deactivate()
    assert localizer.activate()  # it forgets what it was told
    last: list[Time] = []

    def attempt() -> None:
        last.append(camera.stamp())
        camera.send(world.view(TILE), last[-1])

    camera.reports.clear()
    camera.until_heard(attempt, lambda: camera.reports)
    (status,) = camera.reports[0].status
    values = {entry.key: entry.value for entry in status.values}
    assert (values["outcome"], values["reference"]) == ("fix", "view"), values
    unknown = camera.diagnosis(lambda _, values: "camera" in values["last_frame"])
    assert unknown.level == DiagnosticStatus.OK
    camera.pair_up(world.view(TILE))
