"""What goes wrong with the camera, its pictures, their stamps and the sensors beside it."""

from __future__ import annotations

import signal
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from diagnostic_msgs.msg import DiagnosticStatus

from test.soak.fault import fault
from test.soak.rig import WITHIN_S, SoakError

if TYPE_CHECKING:
    from test.soak.ledger import Entry
    from test.soak.rig import Rig

_GOES_ON = "fixes go on"


def outcomes(entries: list[Entry]) -> str:
    """How pictures ended: "fix 12, bad_image 3, unanswered 1"."""
    counts = Counter(e.reports[-1].reason or "fix" if e.reports else "unanswered" for e in entries)
    return ", ".join(f"{name} {count}" for name, count in counts.most_common()) or "nothing was sent"


def _goes_on(rig: Rig, **values: Any) -> str:
    """A change of the camera that must not matter."""
    rig.set_camera(**values)
    start_s = time.monotonic()
    after_s = rig.await_fix(start_s)
    seen = rig.answers()
    return f"first fix after {after_s:.1f} s; {outcomes(seen)}"


def _refused(rig: Rig, *reasons: str, **values: Any) -> str:
    """A change that makes every picture one to be refused."""
    rig.set_camera(**values)
    rig.await_reason(*reasons)
    seen = rig.answers()
    if fixed := sum(entry.fixed for entry in seen):
        raise SoakError(f"{fixed} fixes: {outcomes(seen)}")
    return outcomes(seen)


# The camera as a process, and how often it speaks


@fault("ERROR: no image; fixes again when it is back")
def camera_killed_and_restarted(rig: Rig) -> str:
    rig.camera.interrupt(signal.SIGKILL)
    rig.camera.wait()
    message = rig.await_message("no image for")
    rig.camera = rig.start_camera()
    rig.await_(lambda: rig.level != DiagnosticStatus.ERROR, "/diagnostics without an ERROR", 3.0 * WITHIN_S)
    return message


@fault("the newest picture wins, the others are counted as dropped")
def burst_of_60_hz(rig: Rig) -> str:
    before = int(rig.status["dropped"])
    rig.set_camera(rate_hz=60.0)
    seen = rig.spin(4.0)
    rig.await_(lambda: int(rig.status["dropped"]) > before, "dropped pictures on /diagnostics")
    return f"{len(seen)} sent, {outcomes(seen)}; {int(rig.status['dropped']) - before} dropped"


@fault("ERROR: no image")
def silence_of_20_s(rig: Rig) -> str:
    rig.set_camera(silent=True)
    rig.spin(20.0)
    if rig.level != DiagnosticStatus.ERROR:
        raise SoakError(f"/diagnostics says {rig.message!r}")
    return rig.message


@fault("a WARN that says so; no crash, no false fix")
def two_cameras_on_one_topic(rig: Rig) -> str:
    other = rig.start_camera("soak_camera_2")
    rig.await_(
        lambda: rig.graph.node.count_publishers("/soak/image") > 1, "the second camera", 3.0 * WITHIN_S
    )
    seen = rig.answers(20)
    message = rig.await_message("2 publishers on")
    other.interrupt(signal.SIGINT)
    if status := other.wait():
        raise SoakError(f"the second camera ended with {status}")
    return f"{message}; {outcomes(seen)}"


# Pictures


@fault(_GOES_ON)
def pictures_of_half_the_size(rig: Rig) -> str:
    return _goes_on(rig, scale=0.5)


@fault(_GOES_ON)
def pictures_in_bgr8(rig: Rig) -> str:
    return _goes_on(rig, encoding="bgr8")


@fault(_GOES_ON)
def pictures_in_rgba8(rig: Rig) -> str:
    return _goes_on(rig, encoding="rgba8")


@fault("no crash; fixes or refusals")
def pictures_in_mono8(rig: Rig) -> str:
    rig.set_camera(encoding="mono8")
    return outcomes(rig.answers())


@fault("every picture is refused: bad_image")
def pictures_of_no_known_encoding(rig: Rig) -> str:
    return _refused(rig, "bad_image", damage="nonsense")


@fault("every picture is refused: bad_image")
def pictures_shorter_than_they_say(rig: Rig) -> str:
    return _refused(rig, "bad_image", damage="truncated")


@fault("every picture is refused: bad_image")
def pictures_of_no_size(rig: Rig) -> str:
    return _refused(rig, "bad_image", damage="empty")


@fault("every picture is refused: bad_image")
def black_pictures(rig: Rig) -> str:
    return _refused(rig, "bad_image", damage="black")


@fault("refused once the place is no longer sure")
def pictures_of_noise(rig: Rig) -> str:
    return _refused(
        rig, "bad_image", "ambiguous", "low_similarity", "uncertain", "out_of_map", damage="noise"
    )


@fault("every picture is refused: bad_image, the camera is frozen")
def a_frozen_camera(rig: Rig) -> str:
    return _refused(rig, "bad_image", damage="frozen")


@fault("ERROR that names the QoS that does not match; fixes again when it does")
def qos_that_does_not_match(rig: Rig) -> str:
    rig.set_camera(reliability="best_effort")
    return rig.await_message("these do not match")


@fault("cleaned up, configured for it and back: fixes each time; a truncated JPEG is refused")
def compressed_pictures_and_back(rig: Rig) -> str:
    said = []
    for transport in ("compressed", "raw"):
        reconfigure(rig, image__transport=transport)
        rig.set_camera(transport=transport)
        said.append(f"{transport}: fix after {rig.await_fix(time.monotonic()):.1f} s")
        if transport == "compressed":
            said.append(_refused(rig, "bad_image", damage="truncated"))
            rig.set_camera(damage="")
    return "; ".join(said)


def reconfigure(rig: Rig, **values: Any) -> None:
    """Deactivate, clean up, set parameters that are fixed while it is configured, configure, activate."""
    localizer = rig.localizer
    steps = (
        localizer.deactivate, localizer.clean_up, lambda: localizer.set(**values)[0],
        localizer.configure, localizer.activate,
    )  # fmt: skip
    for number, step in enumerate(steps):
        if not step():
            raise SoakError(f"step {number} of deactivate, clean up, set, configure, activate was refused")


# Stamps


@fault("fixes again, with a place that is sought anew")
def clock_set_forward_by_an_hour(rig: Rig) -> str:
    return _goes_on(rig, clock_offset_s=3600.0)


@fault("started anew with a WARN; fixes again")
def clock_set_back_by_an_hour(rig: Rig) -> str:
    rig.set_camera(clock_offset_s=-3600.0)
    message = rig.await_message("the clock of the pictures has gone back")
    after_s = rig.await_fix(time.monotonic())
    return f"{message}; fix after {after_s:.1f} s"


@fault("started anew at every turn; fixes in between")
def a_bag_that_loops(rig: Rig) -> str:
    seen: list[Entry] = []
    for back_s in (5.0, 10.0, 15.0):
        rig.set_camera(clock_offset_s=-back_s)
        seen += rig.spin(3.0)
    if not any(entry.fixed for entry in seen):
        raise SoakError(f"no fix: {outcomes(seen)}")
    return outcomes(seen)


@fault(_GOES_ON)
def use_sim_time_with_a_clock_of_its_own(rig: Rig) -> str:
    if not rig.localizer.set(use_sim_time=True)[0]:
        raise SoakError("use_sim_time was refused")
    said = _goes_on(rig, clock_offset_s=-1e6)
    rig.localizer.set(use_sim_time=False)
    return said


@fault("late pictures are refused: stale_frame; the others are not")
def every_second_picture_late(rig: Rig) -> str:
    rig.set_camera(stamps="late")
    rig.await_reason("stale_frame")
    return _goes_on(rig)


@fault("a stamp that repeats is refused: stale_frame")
def stamps_that_repeat(rig: Rig) -> str:
    rig.set_camera(stamps="repeated")
    rig.await_reason("stale_frame")
    return _goes_on(rig)


# The sensors beside it


@fault("the fix is the view's and says so, or is refused; none is false")
def attitude_that_stops(rig: Rig) -> str:
    return _of_the_view(rig, imu="silent")


@fault("the fix is the view's and says so, or is refused; none is false")
def height_that_stops(rig: Rig) -> str:
    return _of_the_view(rig, height="silent")


@fault("the fix is the view's and says so, or is refused; none is false")
def height_that_is_nan(rig: Rig) -> str:
    return _of_the_view(rig, height="nan")


@fault("every picture is refused: view_invalid")
def attitude_that_is_nan(rig: Rig) -> str:
    return _refused(rig, "view_invalid", imu="nan")


@fault("the last camera_info stands: fixes go on")
def camera_info_that_stops(rig: Rig) -> str:
    return _goes_on(rig, camera_info="silent")


@fault(_GOES_ON)
def odometry_that_comes_and_goes(rig: Rig) -> str:
    said = _goes_on(rig, odometry="good")
    return f"{said}; without: {_goes_on(rig, odometry='silent')}"


@fault("none is false; fixes again when it is over")
def odometry_that_jumps_by_500_m(rig: Rig) -> str:
    rig.set_camera(odometry="jumps")
    return outcomes(rig.answers(20))


def _of_the_view(rig: Rig, **values: Any) -> str:
    rig.set_camera(**values)
    rig.spin(3.0)  # the samples that were there have their age
    seen = rig.answers()
    references = {r.reference for entry in seen for r in entry.reports if r.reason == ""}
    if references - {"view"}:
        raise SoakError(f"fixes of {references}: {outcomes(seen)}")
    return f"{outcomes(seen)}; fixes of: {', '.join(references) or 'none'}"
