"""The localizer node under load: pictures of 1280x720 at 30 Hz, camera and monitor as processes of their own.

A flight over a simulated world is rendered first, and the gallery of its map built. Then the camera publishes the flight's
pictures (from JPEG files) as raw images at 30 Hz, best effort, and the node finds what it can: the newest picture
wins, so that the node is busy all the time and drops the rest. What is told:

- frame to fix, from the arrival of the picture's message to the publication of its outcome, beside the sum of the stages
  that find the place; the difference is what ROS, the wait for sensors and Python add.
- each stage: view, encode, search, refine, filter, decide.
- whether frame to fix grows: the last third of the flight beside the first.
- the node's share of a core under load, and when no picture comes; by how much its memory grew.

    python -m benchmarks.node [--seconds 10] [--engine torch]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from benchmarks.measuring import Row, publish, ratios
from lkpan_ros.localization.outcomes import read_outcomes
from lkpan_ros.simulation.scenario import SENSOR_FIGURES
from lkpan_ros.tools import build_gallery, simulate_flight
from lkpan_ros.tools.node_process import node_process
from lkpan_ros.tools.summary_table import STAGES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lkpan_ros.localization.outcomes import FrameOutcome

RATE_HZ = 30.0
FLIGHT_HZ = 3.0  # of the flight itself: at ten times the rate its frames last for a longer benchmark
TILT_DEG = 25.0
IDLE_S = 5.0
SAMPLE_S = 0.2
MONITOR_S = 1.0  # how long it waits for more before it ends


def prepare(folder: Path, options: argparse.Namespace) -> None:
    """Flight and gallery.

    Raises:
        SystemExit: They cannot be made; a message has said why.
    """
    frames = options.seconds * RATE_HZ
    flight = {
        "output": folder / "flight", "width": 640, "height": 360, "seconds": frames / FLIGHT_HZ, "rate-hz": FLIGHT_HZ,
        "tilt-deg": TILT_DEG, "wind": 0.0, "size-m": 700, "speed-mps": 4.0,
    }  # fmt: skip
    gallery = {
        "map": folder / "flight" / "map.tif", "tile-size-m": 90, "stride-m": 30, "output": folder / "a.gallery",
    }  # fmt: skip
    for main, words in ((simulate_flight.main, flight), (build_gallery.main, gallery)):
        if status := main([str(word) for name, value in words.items() for word in (f"--{name}", value)]):
            raise SystemExit(status)
    for path in (folder / "flight").rglob("*.jpg"):  # rendering them at full size takes four times as long
        picture = cv2.imread(str(path))
        assert picture is not None
        cv2.imwrite(str(path), cv2.resize(picture, (1280, 720), interpolation=cv2.INTER_CUBIC))


def fly(folder: Path, options: argparse.Namespace) -> tuple[list[FrameOutcome], dict[str, float]]:
    """What the node said about each picture, and what it took of the machine."""
    localizer = {
        "gallery.path": folder / "a.gallery", "camera.tilt_deg": TILT_DEG, "camera.stabilized": "true",
        "encoder.engine": options.engine, "autostart": "true", **SENSOR_FIGURES,
    }  # fmt: skip
    camera = {
        "source.type": "flight", "source.path": folder / "flight", "source.rate": RATE_HZ / FLIGHT_HZ,
        "source.wait_for_subscriber": "true", "camera.hfov_deg": 70.0, "output.reliability": "best_effort",
    }  # fmt: skip
    topics = {"image": "camera/image_raw", "camera_info": "camera/camera_info"}
    table = folder / "frames.csv"
    with node_process("localizer_node", localizer, topics) as node:
        with (
            node_process(
                "flight_monitor", {"monitor.output": table, "monitor.idle_s": MONITOR_S}, {}
            ) as monitor,
            node_process("camera_node", camera, {}),
        ):
            samples = [Sample.of(node.pid)]
            while monitor.poll() is None:
                time.sleep(SAMPLE_S)
                samples.append(Sample.of(node.pid))
            if monitor.returncode:
                raise SystemExit(f"the flight was not localized: the monitor ended with {monitor.returncode}")
        before = Sample.of(node.pid)
        time.sleep(IDLE_S)
        after = Sample.of(node.pid)
    last_s = samples[-1].at_s - MONITOR_S
    flying = [sample for sample in samples if last_s - 0.8 * options.seconds <= sample.at_s <= last_s]
    return read_outcomes(table), {
        "cores_busy": flying[-1].cores_since(flying[0]),
        "cores_idle": after.cores_since(before),
        "memory_growth_mb": flying[-1].resident_mb - flying[0].resident_mb,
    }


@dataclass(frozen=True)
class Sample:
    """What a process has used so far.

    Attributes:
        at_s: When, monotonic.
        processor_s: Of all cores together.
        resident_mb: Memory.
    """

    at_s: float
    processor_s: float
    resident_mb: float

    @classmethod
    def of(cls, pid: int) -> Sample:
        """Now, from /proc."""
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        ticks, pages = int(fields[11]) + int(fields[12]), int(fields[21])
        return cls(
            time.monotonic(), ticks / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE") / 1e6
        )

    def cores_since(self, before: Sample) -> float:
        """Cores in use, on average."""
        return (self.processor_s - before.processor_s) / (self.at_s - before.at_s)


def rows_of(outcomes: Sequence[FrameOutcome]) -> list[Row]:
    """Of the frames that went all the way."""
    done = [outcome for outcome in outcomes if outcome.decide_ms and outcome.latency_ms]
    if len(done) < 10:
        raise SystemExit(
            f"only {len(done)} of {len(outcomes)} pictures were searched for: nothing can be said"
        )
    latency = [float(outcome.latency_ms or 0.0) for outcome in done]
    stages = {stage: [float(getattr(outcome, f"{stage}_ms") or 0.0) for outcome in done] for stage in STAGES}
    work = [sum(parts) for parts in zip(*stages.values(), strict=True)]
    third = len(latency) // 3
    case = "1280x720 at 30 Hz"
    return [
        Row(case, "stages together", work, "ms"),
        Row(case, "frame to fix", latency, "ms", ratios(work, latency)),
        *(Row(case, f"  {stage}", values, "ms", ratios(values, work)) for stage, values in stages.items()),
        Row("queue", "frame to fix, first third", latency[:third], "ms"),
        Row(
            "queue",
            "frame to fix, last third",
            latency[-third:],
            "ms",
            ratios(latency[:third], latency[-third:]),
        ),
    ]


def main() -> int:
    """Command line; exit status as `publish` says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="of pictures at 30 Hz (default 10)")
    parser.add_argument("--engine", default="torch", help="of the encoder (default torch)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        prepare(Path(name), options)
        outcomes, machine = fly(Path(name), options)
    rows = rows_of(outcomes)
    latency = np.array(rows[1].values)
    details = machine | {
        "pictures": len(outcomes),
        "worked_on": len(latency),
        "frame_to_fix_p50_ms": float(np.percentile(latency, 50)),
        "frame_to_fix_p99_ms": float(np.percentile(latency, 99)),
    }
    status = publish("node", rows, vars(options), details)
    print("\n" + "\n".join(f"{key}: {value:.4g}" for key, value in details.items()))
    return status


if __name__ == "__main__":
    sys.exit(main())
