"""What goes wrong with the localizer's process, its files and its parameters."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from rcl_interfaces.srv import ListParameters

from lkpan_ros.node.process import START_ANEW
from test.soak.camera_faults import outcomes, reconfigure
from test.soak.fault import fault
from test.soak.rig import WITHIN_S, SoakError
from test.soak.samples import cpu_s

if TYPE_CHECKING:
    from pathlib import Path

    from test.soak.rig import Rig

RESTART_S = 10.0
DEAF_S = 30.0  # within which a deaf middleware is noticed
MOST_DEAF = 2  # in a soak; one in forty stops is

# The process


@fault(f"back to the first fix within {RESTART_S:g} s", restarts=True)
def killed_and_restarted(rig: Rig) -> str:
    return _restarted(rig, signal.SIGKILL)


@fault(f"ends with 0; back to the first fix within {RESTART_S:g} s", restarts=True)
def terminated_and_restarted(rig: Rig) -> str:
    return _restarted(rig, signal.SIGTERM)


def _restarted(rig: Rig, signal_number: int) -> str:
    after_s = rig.restart_localizer(signal_number)
    seen = f"first fix {after_s:.1f} s after the start, {cpu_s(rig.localizer.process.pid):.1f} s of them computing"
    if after_s > RESTART_S:
        raise SoakError(seen)
    return seen


@fault(
    "fixes again; or the middleware is deaf, which is noticed: the process ends to be started anew",
    fills=True,
)
def stopped_for_5_s(rig: Rig) -> str:
    localizer = rig.localizer.process
    rig.ledger.stops.append(time.monotonic())
    localizer.interrupt(signal.SIGSTOP)
    rig.spin(5.0)
    localizer.interrupt(signal.SIGCONT)
    start_s = time.monotonic()
    rig.await_(lambda: rig.fixed_since(start_s) or not localizer.alive, "a fix or an end", DEAF_S)
    if localizer.alive:
        return f"fix {time.monotonic() - start_s:.1f} s after it went on"
    status = localizer.wait()
    if status != START_ANEW:
        raise SoakError(f"it ended with {status}:\n{localizer.output[-2000:]}")
    noticed_s, again_s = time.monotonic() - start_s, rig.start_anew()
    rig.deaf += 1
    if rig.deaf > MOST_DEAF:
        raise SoakError(f"deaf {rig.deaf} times: that is no rare accident")
    return f"deaf, noticed after {noticed_s:.0f} s; started anew: first fix {again_s:.1f} s after the start"


@fault("slower, no crash, no false fix")
def busy_cores(rig: Rig) -> str:
    burn = [sys.executable, "-c", "while True: pass"]
    burners = [subprocess.Popen(burn) for _ in range(2 * (os.cpu_count() or 1))]
    try:
        return outcomes(rig.spin(5.0))
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


@fault("some picture is answered by both; none is false; the second ends with 0")
def two_localizers_on_one_topic(rig: Rig) -> str:
    other = rig.start_localizer("localizer_2")
    rig.await_(
        lambda: any(len(e.reports) > 1 for e in rig.ledger.since(time.monotonic() - 5.0)),
        "two answers to a picture",
        3.0 * WITHIN_S,
    )
    seen = rig.answers()
    other.process.interrupt(signal.SIGINT)
    if status := other.process.wait():
        raise SoakError(f"the second ended with {status}")
    return f"{sum(len(e.reports) > 1 for e in seen)} of {len(seen)} pictures have two answers"


# Files


@fault("the gallery is read again; fixes go on")
def gallery_reloaded(rig: Rig) -> str:
    done, message = rig.localizer.reload_gallery()
    if not done:
        raise SoakError(message)
    return message


@fault("each is read whole; fixes go on")
def gallery_reloaded_five_times_in_a_row(rig: Rig) -> str:
    return "; ".join({gallery_reloaded(rig) for _ in range(5)})


@fault("refused with a reason; the old one stays in use")
def gallery_with_a_flipped_bit(rig: Rig) -> str:
    content = bytearray(rig.scene.gallery.read_bytes())
    content[len(content) // 2] ^= 4
    return _bad_gallery(rig, bytes(content))


@fault("refused with a reason; the old one stays in use")
def gallery_cut_short(rig: Rig) -> str:
    content = rig.scene.gallery.read_bytes()
    return _bad_gallery(rig, content[: len(content) // 3])


@fault("refused with a reason; the old one stays in use")
def gallery_of_another_encoder(rig: Rig) -> str:
    return _bad_gallery(rig, rig.scene.other_gallery.read_bytes())


@fault("refused with a reason; the old one stays in use")
def gallery_that_is_gone(rig: Rig) -> str:
    return _bad_gallery(rig, None)


def _bad_gallery(rig: Rig, content: bytes | None) -> str:
    path = rig.scene.gallery
    kept = path.rename(path.with_suffix(".kept"))
    try:
        if content is not None:
            path.write_bytes(content)
        done, message = rig.localizer.reload_gallery()
    finally:
        kept.rename(path)
    if done or "the old gallery stays in use" not in message:
        raise SoakError(message)
    return message.replace(str(rig.scene.folder), "…")


@fault("the monitor ends with an error that names the file and leaves no half of it; the localizer goes on")
def disk_full_under_a_report(rig: Rig) -> str:
    disk = rig.folder / "full"
    disk.mkdir(exist_ok=True)
    if (
        os.geteuid()
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", disk], check=False).returncode
    ):
        return "not tried: mounting a small disk needs root"
    try:
        return _monitored(rig, disk)
    finally:
        subprocess.run(["umount", disk], check=True)


def _monitored(rig: Rig, disk: Path) -> str:
    monitor = rig.graph.start("flight_monitor", {"monitor.output": disk / "frames.csv"})
    rig.await_(
        lambda: monitor.output.count("\n") > 60, "the monitor's lines"
    )  # more than the disk has room for
    monitor.interrupt(signal.SIGINT)
    status = monitor.wait()
    left = [path.name for path in disk.iterdir()]
    if status == 0 or left or "Traceback" in monitor.output:
        raise SoakError(f"status {status}, left {left}: {monitor.output[-500:]}")
    return f"status {status}: {monitor.output.strip().splitlines()[-1][-120:]}"


# Parameters and states


@fault("each counts from the next picture; fixes go on")
def parameters_changed(rig: Rig) -> str:
    for value in (20, 60, 100):
        done, reason = rig.localizer.set(search__candidates=value)
        if not done:
            raise SoakError(reason)
        rig.spin(0.5)
    return "search.candidates 20, 60, 100"


@fault("refused with a reason that names it")
def parameters_that_cannot_be(rig: Rig) -> str:
    bad = {"gate__min_probability": math.nan, "gate__radius_m": -1.0, "search__candidates": 1}
    reasons = []
    for name, value in bad.items():
        done, reason = rig.localizer.set(**{name: value})
        if done or name.replace("__", ".") not in reason:
            raise SoakError(f"{name} = {value}: {done}, {reason!r}")
        reasons.append(reason)
    return reasons[0]


@fault("silent while it is inactive, fixes afterwards")
def deactivated_and_activated(rig: Rig) -> str:
    if not rig.localizer.deactivate():
        raise SoakError("not deactivated")
    rig.spin(0.5)
    if answered := sum(bool(e.reports) for e in rig.spin(1.0)):
        raise SoakError(f"{answered} answers while it was inactive")
    if not rig.localizer.activate():
        raise SoakError("not activated")
    return "silent in between"


@fault("fixes afterwards")
def cleaned_up_and_configured(rig: Rig) -> str:
    start_s = time.monotonic()
    reconfigure(rig)
    return f"{time.monotonic() - start_s:.1f} s"


@fault("fixes afterwards")
def ten_quick_cycles_of_activation(rig: Rig) -> str:
    for _ in range(10):
        if not (rig.localizer.deactivate() and rig.localizer.activate()):
            raise SoakError("a transition was refused")
    return "10 cycles"


@fault("each is answered; fixes afterwards")
def fifty_resets(rig: Rig) -> str:
    for _ in range(50):
        rig.localizer.reset()
    return "50 resets"


@fault("all are answered; pictures are answered meanwhile")
def two_hundred_calls(rig: Rig) -> str:
    start_s = time.monotonic()
    for _ in range(200):
        rig.graph.call(ListParameters, "localizer/list_parameters", ListParameters.Request())
    return f"{time.monotonic() - start_s:.1f} s; {outcomes(rig.ledger.since(start_s))}"
