"""Damage, from a seed: to bytes, to text and to JSON."""

from __future__ import annotations

import copy
import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

NUMBERS = (
    0,
    1,
    -1,
    2,
    7,
    127,
    128,
    255,
    256,
    32767,
    65535,
    65536,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**40,
    2**63 - 1,
)
WORDS = (
    "", " ", "0", "-1", "1e308", "1e999", "-0.0", "nan", "inf", "-inf", "NaN", "0x10", "1_000", "٣", "1,5", "--",
    "999999999999999999999999999999", "4294967296", "true", "null", "None", "\0", "\ufeff", "\r\n", "\n\n", '"', "'",
    '""', ",", ",,,,,,", ";", "\t", "🛰", "x" * 10_000, "../../../etc/passwd", "/etc/passwd", "a/../../b", ".", "..",
    "~", "%00", "C:\\x", "{}", "[", "]", "{", ":", "#", "- ", "*a", "&a", "!!python/object/apply:os.system", "<<: *a",
)  # fmt: skip
JSON_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**53, 2**64, 10**400, 0.5, -0.0, 1e308, float("inf"), float("nan"), "", "x", "é",
    "\0", "a" * 5000, [], [[]], {}, {"a": 1}, [1, 2, 3],
)  # fmt: skip


def damaged(rng: Random, data: bytes, others: Sequence[bytes] = ()) -> bytes:
    """Bytes with one to four faults."""
    for _ in range(rng.choice((1, 1, 1, 2, 3, 4))):
        data = rng.choice(_BYTE_FAULTS)(rng, data, others)
    return data


def damaged_text(rng: Random, text: str, separators: str = ",\n ") -> str:
    """Text in which one to three words were replaced, doubled, dropped or joined by words that hurt."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        separator = rng.choice(separators)
        words = text.split(separator)
        place = rng.randrange(len(words))
        fault = rng.randrange(6)
        if fault == 0:
            words[place] = rng.choice(WORDS)
        elif fault == 1:
            words[place] += rng.choice(WORDS)
        elif fault == 2:
            words.insert(place, rng.choice(words))
        elif fault == 3:
            del words[place]
        elif fault == 4:
            words[place] = str(rng.choice(NUMBERS) * rng.choice((1, -1, 0.1, 1e10)))
        else:
            words[place:] = words[place:] * rng.choice((1, 2, 40))
        text = separator.join(words)
    return text


def damaged_json(rng: Random, value: Any) -> Any:
    """A copy of what JSON can say in which one value was replaced, dropped or doubled."""
    value = copy.deepcopy(value)
    places = list(_places(value))
    if not places:
        return rng.choice(JSON_VALUES)
    container, key = rng.choice(places)
    fault = rng.randrange(8)
    if fault == 0:
        del container[key]
    elif fault == 1 and isinstance(container, dict):
        container[rng.choice(WORDS)[:50]] = container[key]
    elif fault == 2 and type(container[key]) in {int, float}:
        container[key] = container[key] * rng.choice((-1, 2, 0.5, 1.0000001, 1e6, 1e-6)) + rng.choice(
            (0, 0, 1)
        )
    else:
        container[key] = rng.choice(JSON_VALUES)
    return value


def _places(value: Any) -> Any:
    entries = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, inner in entries:
        yield value, key
        yield from _places(inner)


def _flip(rng: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    changed = bytearray(data or b"\0")
    for _number in range(rng.choice((1, 1, 4, 16))):
        changed[_near_start(rng, len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _number(rng: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """A number of 1 to 8 bytes where perhaps one stood."""
    code, size = rng.choice((("B", 1), ("H", 2), ("I", 4), ("Q", 8)))
    value = rng.choice(NUMBERS) % 2 ** (8 * size)
    place = _near_start(rng, max(1, len(data)))
    return data[:place] + struct.pack(rng.choice("<>") + code, value) + data[place + size :]


def _cut(rng: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _drop(rng: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    start = _near_start(rng, len(data) + 1)
    return data[:start] + data[start + rng.choice((1, 2, 4, 100)) :]


def _double(rng: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    start = _near_start(rng, len(data) + 1)
    piece = data[start : start + rng.choice((1, 4, 20, 1000))]
    return data[:start] + piece * rng.choice((2, 3, 50)) + data[start:]


def _noise(rng: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    start = _near_start(rng, len(data) + 1)
    noise = rng.randbytes(rng.choice((1, 4, 40)))
    return data[:start] + noise + data[start + rng.choice((0, len(noise))) :]


def _splice(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    other = rng.choice(others) if others else data
    return data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other) + 1) :]


_BYTE_FAULTS: tuple[Callable[[Random, bytes, Sequence[bytes]], bytes], ...] = (
    _flip, _flip, _number, _number, _cut, _drop, _double, _noise, _splice,
)  # fmt: skip


def _near_start(rng: Random, length: int) -> int:
    """A place, half of the time in the first 200 bytes: headers stand there."""
    return rng.randrange(min(length, 200) if rng.random() < 0.5 else length)
