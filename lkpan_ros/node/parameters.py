"""ROS parameters declared from settings: name, default, meaning and range stand in one place, the dataclass.

`LocalizerConfig` describes the algorithm; `NodeConfig` and `CameraNodeConfig` what only concerns ROS.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult

from lkpan_ros.errors import ConfigError
from lkpan_ros.localization.config import LocalizerConfig
from lkpan_ros.localization.settings import Setting, setting, settings_of, with_values
from lkpan_ros.node.folders import Folders

if TYPE_CHECKING:
    from collections.abc import Callable

    from rclpy.node import Node
    from rclpy.parameter import Parameter

C = TypeVar("C")


@dataclass(frozen=True)
class ImageSettings:
    """How pictures arrive."""

    transport: str = setting(
        "raw",
        "raw: sensor_msgs/Image on `image`; compressed: sensor_msgs/CompressedImage on `image`/compressed",
        choices=("raw", "compressed"),
        fixed=True,
    )
    reliability: str = setting(
        "best_effort",
        "what is asked of the camera's publisher; reliable helps where large pictures are lost",
        choices=("best_effort", "reliable"),
        fixed=True,
    )
    depth: int = setting(
        1, "pictures that the middleware keeps; only the newest is used", low=1, high=100, fixed=True
    )


@dataclass(frozen=True)
class HeightSettings:
    """How the height above ground arrives."""

    type: str = setting(
        "range",
        "message on `height`: range is sensor_msgs/Range; float64 is std_msgs/Float64, which has no stamp: "
        "its time of arrival counts",
        choices=("range", "float64"),
        fixed=True,
    )
    offset_m: float = setting(
        0.0,
        "added to what arrives, metres: how far the take-off point lies above the ground flown over",
        low=-10_000.0,
        high=10_000.0,
    )


@dataclass(frozen=True)
class SyncSettings:
    """Which sensor sample belongs to a picture."""

    max_age_s: float = setting(
        0.2,
        "a sample of imu, height or odom further in time from the picture is not used, seconds",
        low=0.001,
    )
    max_wait_s: float = setting(
        0.05,
        "a picture waits so long for the samples of living sensors to catch up, seconds",
        low=0.0,
        high=1.0,
    )


@dataclass(frozen=True)
class FixSettings:
    """What fixes are labelled with."""

    frame_id: str = setting("base_link", "header.frame_id of geo_fix: a frame on the vehicle")
    view_frame_id: str = setting("view", "header.frame_id of geo_fix/view: the ground seen")
    map_frame_id: str = setting(
        "map", "header.frame_id of geo_fix/pose: east, north, up about the gallery's datum"
    )
    altitude_source: str = setting(
        "nan",
        "altitude of geo_fix, metres above the ellipsoid: nan (unknown), fixed (altitude_m) or input (that of "
        "prior_fix); robot_localization drops fixes whose altitude is NaN",
        choices=("nan", "fixed", "input"),
    )
    altitude_m: float = setting(0.0, "altitude for `fixed`, metres above the ellipsoid", low=-1e4, high=1e5)


@dataclass(frozen=True)
class PriorSettings:
    """How prior_fix restricts the search."""

    default_radius_m: float = setting(
        200.0, "radius of a prior whose covariance is unknown, metres", low=1.0, high=1e6
    )
    max_age_s: float = setting(
        5.0, "a prior further in time from the picture is not used, seconds; 0: never too old", low=0.0
    )


@dataclass(frozen=True)
class DiagnosticsSettings:
    """When /diagnostics complains."""

    no_fix_warn_s: float = setting(5.0, "WARN after so long without a fix, seconds", low=0.1)
    camera_silent_s: float = setting(3.0, "ERROR after so long without a picture, seconds", low=0.1)


@dataclass(frozen=True)
class TrustSettings:
    """Whose galleries, weights and calibrations are used."""

    public_key: str = setting(
        "",
        "key made by lkpan_ros.tools.sign: gallery, weights and calibration must be signed with it; empty: by nobody",
        read_only=True,
    )


@dataclass(frozen=True)
class FileSettings:
    """Which files may be named by who can set parameters."""

    folders: str = setting(
        "",
        "folders, separated by colons, that gallery, weights and calibration may be set to lie in after the start; "
        "empty: those of the files that were given at the start",
        read_only=True,
    )


@dataclass(frozen=True)
class NodeConfig:
    """The settings of the localizer node that concern ROS alone."""

    gallery: TrustSettings = field(default_factory=TrustSettings)
    files: FileSettings = field(default_factory=FileSettings)
    image: ImageSettings = field(default_factory=ImageSettings)
    height: HeightSettings = field(default_factory=HeightSettings)
    sync: SyncSettings = field(default_factory=SyncSettings)
    fix: FixSettings = field(default_factory=FixSettings)
    prior: PriorSettings = field(default_factory=PriorSettings)
    diagnostics: DiagnosticsSettings = field(default_factory=DiagnosticsSettings)


def declare(node: Node, config: C, *, read_only: bool = False) -> C:
    """Declare every setting of a configuration as a parameter of a node.

    Args:
        node: Gets the parameters.
        config: Their names, defaults, meanings and ranges.
        read_only: True: they are given at the start and cannot be changed.

    Returns:
        The configuration with what was given at the start.

    Raises:
        rclpy.exceptions.InvalidParameterValueException: A value given at the start is out of range; the message
            says which.
        ConfigError: It is of another type, or none of the choices.
    """
    values: dict[str, Any] = {
        entry.name: node.declare_parameter(
            entry.name, entry.default, _descriptor(entry, read_only=read_only)
        ).value
        for entry in settings_of(config)
    }
    return with_values(config, values)


class LiveSettings:
    """The localizer's and the node's settings, as the parameters of a node say at any time.

    A bad value is refused with a reason; a good one applies at once, unless it is fixed while the node is configured.

    Args:
        node: Gets the parameters.
        on_change: Called after a change.

    Attributes:
        localizer: The algorithm's.
        node: The node's.
    """

    def __init__(self, node: Node, on_change: Callable[[], None]) -> None:
        self.localizer = declare(node, LocalizerConfig())
        self.node = declare(node, NodeConfig())
        self._folders = Folders(self.node.files.folders, self.localizer)
        self._on_change = on_change
        self._fixed = False
        node.add_on_set_parameters_callback(self._check)
        node.add_post_set_parameters_callback(self._apply)

    def freeze(self, *, fixed: bool) -> None:
        """Whether the settings that are read when the node is configured are refused."""
        self._fixed = fixed

    def _check(self, changes: list[Parameter[Any]]) -> SetParametersResult:
        values: dict[str, Any] = {change.name: change.value for change in changes}
        try:
            wanted = _changed(self.localizer, values)
            _changed(self.node, values)
            if self._fixed:
                self._check_not_fixed(values)
            self._folders.check(self.localizer, wanted)
        except ConfigError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _check_not_fixed(self, values: dict[str, Any]) -> None:
        for entry in (*settings_of(self.localizer), *settings_of(self.node)):
            if entry.fixed and values.get(entry.name, entry.default) != entry.default:
                raise ConfigError(
                    f"{entry.name} is read when the node is configured: deactivate and clean up first"
                )

    def _apply(self, changes: list[Parameter[Any]]) -> None:
        values: dict[str, Any] = {change.name: change.value for change in changes}
        self.localizer = _changed(self.localizer, values)
        self.node = _changed(self.node, values)
        self._on_change()


def _changed(config: C, values: dict[str, Any]) -> C:
    """The configuration with those values that are its own; others are left to others."""
    own = {entry.name for entry in settings_of(config)}
    return with_values(config, {name: value for name, value in values.items() if name in own})


def warn_of_unknown(node: Node) -> None:
    """Log parameters given at the start that the node does not have: a misspelt name must not pass unseen."""
    # rclpy keeps what the command line and the files gave under this name alone.
    given = getattr(node, "_parameter_overrides", {})
    for name in sorted(given):
        if not (node.has_parameter(name) or name.startswith("qos_overrides.")):
            node.get_logger().warning(f"there is no parameter {name!r}; it is ignored, check its spelling")


def _descriptor(entry: Setting, *, read_only: bool) -> ParameterDescriptor:
    notes = []
    if entry.choices:
        notes.append(f"one of {', '.join(entry.choices)}")
    if entry.fixed:
        notes.append("read when the node is configured")
    if entry.read_only or read_only:
        notes.append("given at the start, cannot be changed")
    # Typed by `Setting.check`, which takes 30 for 30.0 and names the parameter that it refuses; rclpy does neither.
    descriptor = ParameterDescriptor(
        name=entry.name,
        description=entry.doc,
        additional_constraints="; ".join(notes),
        read_only=entry.read_only or read_only,
        dynamic_typing=True,
    )
    if entry.low is None and entry.high is None:
        return descriptor
    if type(entry.default) is int:
        low = -(2**31) if entry.low is None else int(entry.low)
        high = 2**31 - 1 if entry.high is None else int(entry.high)
        descriptor.integer_range = [IntegerRange(from_value=low, to_value=high)]
    else:
        low_f = -sys.float_info.max if entry.low is None else float(entry.low)
        high_f = sys.float_info.max if entry.high is None else float(entry.high)
        descriptor.floating_point_range = [FloatingPointRange(from_value=low_f, to_value=high_f)]
    return descriptor
