"""Settings from text: the values of a YAML file or of the command line as the types of a dataclass's fields."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

from lkpan_model.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable


def build(kind: type[Any], values: object, where: str) -> Any:
    """A dataclass from its fields' values.

    Args:
        kind: The dataclass; its fields are bool, int, float, str, dataclasses of these, tuples, or one of them or
            None.
        values: A mapping by field name, as YAML or the command line gives it.
        where: Begins every error message.

    Raises:
        ConfigError: A name is unknown, a value of the wrong type or refused by the dataclass.
    """
    if not isinstance(values, dict):
        raise ConfigError(f"{where} must be a mapping of settings, got {values!r}")
    known = [item.name for item in fields(kind)]
    for name in values:
        if name not in known:
            near = get_close_matches(str(name), known, 1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            raise ConfigError(f"{where}: unknown setting {name!r}; {hint}")
    types = get_type_hints(kind)
    try:
        return kind(**{name: _convert(name, value, types[name]) for name, value in values.items()})
    except (TypeError, ConfigError) as error:
        raise ConfigError(f"{where}: {error}") from error


_READERS: dict[Any, tuple[Callable[[str], Any], str]] = {
    bool: (lambda text: {"true": True, "false": False}[text.lower()], "true or false"),
    int: (int, "a whole number"),
    float: (float, "a number"),
}


def _convert(name: str, value: Any, kind: Any) -> Any:
    """A value of a YAML file, or text of the command line, as the field's type; nothing is guessed."""
    if is_dataclass(kind):
        return build(kind, value, name)  # type: ignore[arg-type]
    if get_origin(kind) is UnionType:  # or None
        (inner,) = (option for option in get_args(kind) if option is not NoneType)
        return None if value is None else _convert(name, value, inner)
    if get_origin(kind) is tuple:
        return _convert_items(name, value, get_args(kind))
    if kind is str:
        if not isinstance(value, str):
            raise ConfigError(f"{name} must be text, got {value!r}: put it in quotes")
        return value
    read, words = _READERS[kind]
    try:
        return read(str(value))
    except (ValueError, KeyError):
        raise ConfigError(f"{name} must be {words}, got {value!r}") from None


def _convert_items(name: str, value: Any, kinds: tuple[Any, ...]) -> tuple[Any, ...]:
    """A list as it is; text as words between commas."""
    if isinstance(value, str):
        words = value.strip("[]() ").split(",")
        value = [word.strip().strip("'\"") for word in words if word.strip()]
    if not isinstance(value, list):
        raise ConfigError(f"{name} must be a list, got {value!r}")
    if kinds[-1] is not Ellipsis and len(value) != len(kinds):
        raise ConfigError(f"{name} must be {len(kinds)} values, got {value!r}")
    if not is_dataclass(kinds[0]):
        return tuple(_convert(name, item, kinds[0]) for item in value)
    return tuple(_convert(f"{name}.{index}", item, kinds[0]) for index, item in enumerate(value))


def override(values: dict[str, Any], name: str, value: Any) -> None:
    """Set `name`, `name.number.name` and so on within the values of a file, in place.

    Raises:
        ConfigError: The file has nothing of that number.
    """
    *path, last = name.split(".")
    place: Any = values
    for depth, key in enumerate(path):
        if isinstance(place, list):
            if not key.isdecimal() or int(key) >= len(place):
                count = f"0 to {len(place) - 1}" if place else "none"
                raise ConfigError(
                    f"{name}: {'.'.join(path[:depth])} of the config file are {count}, not {key!r}"
                )
            place = place[int(key)]
        elif isinstance(place, dict):
            place[key] = place.get(key) or {}
            place = place[key]
    if not isinstance(place, dict):
        raise ConfigError(f"{name}: {'.'.join(path)} of the config file is no mapping of settings")
    place[last] = value


def to_yaml(value: Any) -> Any:
    """A field's value in YAML's own types: lists for tuples."""
    if isinstance(value, dict):
        return {name: to_yaml(item) for name, item in value.items()}
    return [to_yaml(item) for item in value] if isinstance(value, list | tuple) else value
