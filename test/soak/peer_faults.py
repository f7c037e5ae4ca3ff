"""What goes wrong with those who talk to the localizer, and with those who listen."""

from __future__ import annotations

import math
import random
import signal
import time
from typing import TYPE_CHECKING

from sensor_msgs.msg import Image, NavSatFix

from lkpan_ros.localization.geodesy import LocalFrame
from lkpan_ros.node import camera_messages
from test.ros.graph import RELIABLE
from test.soak.camera_faults import outcomes
from test.soak.fault import fault
from test.soak.rig import SoakError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from test.soak.rig import Rig


def _prior(rig: Rig, east_m: float) -> NavSatFix:
    """Of the last picture's time, so far east of the truth; within 15 m of itself."""
    stamp, entry = next((s, e) for s, e in reversed(rig.ledger.entries.items()) if e.vehicle is not None)
    assert entry.vehicle is not None
    message = camera_messages.truth(LocalFrame(entry.vehicle).point(east_m, 0.0), rig.clock(stamp), "gps")
    message.position_covariance_type = NavSatFix.COVARIANCE_TYPE_APPROXIMATED
    message.position_covariance[0] = message.position_covariance[4] = 25.0
    return message


@fault("the pictures win, with a WARN that says how far they disagree")
def prior_fix_that_jumps_by_5_km(rig: Rig) -> str:
    return _not_used(rig, [5000.0] * 40)


@fault("the pictures win, with a WARN that says how far they disagree")
def prior_fix_that_is_led_away(rig: Rig) -> str:
    return _not_used(rig, [5.0 * step for step in range(60)])


def _not_used(rig: Rig, easts_m: Sequence[float]) -> str:
    """Priors so far east of the truth, ten a second, until it is said that they are not used."""
    start_s = time.monotonic()
    for east_m in easts_m:
        rig.prior.publish(_prior(rig, east_m))
        rig.spin(0.1)
    message = rig.await_message("it is not used")
    return f"{message}; {outcomes(rig.ledger.since(start_s))}"


@fault("ignored: fixes go on")
def prior_fix_that_is_nan(rig: Rig) -> str:
    start_s = time.monotonic()
    for _ in range(20):
        message = _prior(rig, 0.0)
        message.latitude = math.nan
        rig.prior.publish(message)
        rig.spin(0.1)
    return outcomes(rig.ledger.since(start_s))


@fault("a picture is drawn while somebody looks; fixes go on")
def debug_subscribers_that_come_and_go(rig: Rig) -> str:
    pictures: list[Image] = []
    for _ in range(4):
        subscription = rig.graph.node.create_subscription(
            Image, "geo_fix/debug_image", pictures.append, RELIABLE
        )
        count = len(pictures)
        rig.await_(lambda count=count: len(pictures) > count, "a debug picture")  # type: ignore[misc]
        rig.graph.node.destroy_subscription(subscription)
    return f"{len(pictures)} pictures"


@fault("fixes go on")
def subscribers_that_come_and_go(rig: Rig) -> str:
    node = rig.graph.node
    for _ in range(30):
        subscription = node.create_subscription(NavSatFix, "geo_fix", lambda _: None, RELIABLE)
        rig.spin(random.uniform(0.0, 0.1))
        node.destroy_subscription(subscription)
    return "30 of them"


@fault("the localizer does not wait for it")
def a_subscriber_that_hangs(rig: Rig) -> str:
    monitor = rig.graph.start("flight_monitor", {})
    rig.await_(lambda: "[" in monitor.output, "the monitor's first line")
    monitor.interrupt(signal.SIGSTOP)
    seen = rig.spin(5.0)
    monitor.interrupt(signal.SIGCONT)
    monitor.interrupt(signal.SIGINT)
    monitor.wait()
    if not any(entry.fixed for entry in seen):
        raise SoakError(f"no fix while it hung: {outcomes(seen)}")
    return outcomes(seen)
