"""Settings as frozen dataclasses whose fields carry unit, range and meaning, read by name as ROS reads them.

A section is a frozen dataclass whose fields are made by `setting`; a configuration is a frozen dataclass of
sections. `gate.min_probability` names the field `min_probability` of the section `gate`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

from lkpan_ros.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

Value = bool | int | float | str
C = TypeVar("C")


@dataclass(frozen=True)
class Setting:
    """One setting: its dotted name, default, meaning and bounds.

    Attributes:
        name: `section.field`.
        default: Its type is the setting's type.
        doc: Meaning and unit, for people.
        low: Smallest allowed number (included), or None.
        high: Largest allowed number (included), or None.
        choices: Allowed texts; empty for any.
        fixed: True: read when the node is configured, cannot change while it runs.
        read_only: True: given at the start, cannot change at all.
    """

    name: str
    default: Value
    doc: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    fixed: bool = False
    read_only: bool = False

    def check(self, value: object) -> Value:
        """The value in the setting's own type.

        Raises:
            ConfigError: It is of another type or out of range.
        """
        kind = type(self.default)
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            raise ConfigError(f"{self.name} = {value!r}: give a {kind.__name__} ({self.doc})")
        if self.choices and value not in self.choices:
            raise ConfigError(f"{self.name} = {value!r}: give one of {', '.join(self.choices)}")
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            self._check_range(value)
        return value  # type: ignore[return-value]

    def _check_range(self, value: float) -> None:
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        if not (math.isfinite(value) and low <= value <= high):
            raise ConfigError(f"{self.name} = {value}: give a number within {low} .. {high} ({self.doc})")


def setting(
    default: Value,
    doc: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    fixed: bool = False,
    read_only: bool = False,
) -> Any:
    """A dataclass field that carries what `Setting` says of it."""
    metadata = {
        "doc": doc,
        "low": low,
        "high": high,
        "choices": choices,
        "fixed": fixed,
        "read_only": read_only,
    }
    return field(default=default, metadata=metadata)


def settings_of(config: object) -> Iterator[Setting]:
    """Every setting of a configuration (class or instance), with the instance's values as defaults."""
    instance: Any = config() if isinstance(config, type) else config
    for section in fields(instance):
        values = getattr(instance, section.name)
        for entry in fields(values):
            yield Setting(f"{section.name}.{entry.name}", getattr(values, entry.name), **entry.metadata)


def with_values(config: C, values: Mapping[str, object]) -> C:
    """The configuration with some settings, named `section.field`, replaced and checked.

    Raises:
        ConfigError: A name is unknown, or a value of the wrong type or out of range.
    """
    known = {entry.name: entry for entry in settings_of(config)}
    changes: dict[str, dict[str, Value]] = {}
    for name, value in values.items():
        if name not in known:
            raise ConfigError(f"there is no setting {name!r}: give one of {', '.join(sorted(known))}")
        section, _, key = name.partition(".")
        changes.setdefault(section, {})[key] = known[name].check(value)
    sections = {name: replace(getattr(config, name), **change) for name, change in changes.items()}
    return replace(config, **sections)  # type: ignore[type-var]


def parse_assignments(config: object, assignments: Iterable[str]) -> dict[str, Value]:
    """Read `section.field=value` texts as command lines give them, each in the type of its setting.

    Raises:
        ConfigError: A text has no `=`, names no setting, or its value does not read as the setting's type.
    """
    known = {entry.name: entry for entry in settings_of(config)}
    values: dict[str, Value] = {}
    for text in assignments:
        name, equals, value = text.partition("=")
        if not equals or name not in known:
            raise ConfigError(f"{text!r}: give SECTION.NAME=VALUE with one of {', '.join(sorted(known))}")
        values[name] = _parse(known[name], value)
    return values


def _parse(entry: Setting, text: str) -> Value:
    kind = type(entry.default)
    if kind is bool:
        if text.lower() not in {"true", "false"}:
            raise ConfigError(f"{entry.name} = {text!r}: give true or false")
        return text.lower() == "true"
    try:
        return kind(text)
    except ValueError:
        raise ConfigError(f"{entry.name} = {text!r}: give a {kind.__name__} ({entry.doc})") from None
