"""The calibration file: it comes back as it was, or there is a clear error; what the user gave is kept."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lkpan_ros.errors import ConfigError
from lkpan_ros.localization import calibration_file
from lkpan_ros.localization.calibration_file import (
    Calibration,
    beside,
    calibrated,
    find_calibration,
    read_calibration,
    write_calibration,
)
from lkpan_ros.localization.config import LocalizerConfig
from lkpan_ros.localization.settings import Setting, settings_of, with_values
from test.localization.galleries import IDENTITY

if TYPE_CHECKING:
    from pathlib import Path

CALIBRATION = Calibration(
    {"similarity.temperature": 0.05, "gate.min_probability": 0.8},
    IDENTITY.weights_hash,
    ("simulated 41", "flight_0019"),
    "lkpan_ros 1.0",
)
NUMBERS = [entry for entry in settings_of(LocalizerConfig()) if type(entry.default) is float]


def within(entry: Setting) -> st.SearchStrategy[float]:
    low, high = entry.low, entry.high
    return st.floats(
        -1e200 if low is None else low, 1e200 if high is None else high, allow_nan=False, allow_infinity=False
    )


@st.composite
def calibrations(draw: st.DrawFn) -> Calibration:
    entries = draw(st.lists(st.sampled_from(NUMBERS), unique_by=lambda entry: entry.name, max_size=6))
    printable = st.text(max_size=30).filter(str.isprintable)
    return Calibration(
        {entry.name: draw(within(entry)) for entry in entries},
        draw(st.text("0123456789abcdef", min_size=64, max_size=64)),
        tuple(draw(st.lists(printable, max_size=3))),
        draw(printable),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("calibration")


@settings(max_examples=100, deadline=None)
@given(calibration=calibrations())
def test_a_calibration_comes_back_as_it_was(folder: Path, calibration: Calibration) -> None:
    path = folder / "round.json"
    write_calibration(path, calibration)
    assert read_calibration(path) == calibration


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_an_altered_byte_changes_nothing_or_is_refused(folder: Path, data: st.DataObject) -> None:
    path = folder / "altered.json"
    write_calibration(path, CALIBRATION)
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        assert read_calibration(path) == CALIBRATION  # white space, or a number spelt another way
    except ConfigError as error:
        assert str(path) in str(error)  # noqa: PT017 - both outcomes are looked at


@settings(max_examples=300, deadline=None)
@given(content=st.binary(max_size=200) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_whatever_stands_in_a_file_is_refused_by_name(folder: Path, content: bytes) -> None:
    path = folder / "foreign.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"foreign\.json: "):
        read_calibration(path)


def rewritten(path: Path, **changes: Any) -> Path:
    """A file with other content whose checksum is right; None takes a key away."""
    write_calibration(path, CALIBRATION)
    content = {**json.loads(path.read_text()), **changes}
    content = {key: value for key, value in content.items() if value is not None and key != "sha256"}
    path.write_text(json.dumps({**content, "sha256": calibration_file._checksum(content)}))
    return path


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"format": "gpx"}, "is no calibration .format 'gpx'"),
        ({"version": 1}, "version 1, this software reads 2"),  # figures of odds that were made another way
        ({"version": 3}, "version 3, this software reads 2"),
        ({"extra": 1}, "other keys than a calibration .extra"),
        ({"fitted_on": None}, "other keys than a calibration .fitted_on"),
        ({"fitted_on": "a flight"}, "give a list"),
        ({"fitted_on": [1]}, "printable"),
        ({"created_by": 7}, "printable"),
        ({"encoder": "lite"}, "encoder = 'lite': give the SHA-256"),
        ({"encoder": []}, "give the SHA-256"),
        ({"settings": [1]}, "give numbers by name"),
        ({"settings": {"gate.nonsense": 1.0}}, "no setting 'gate.nonsense'"),
        ({"settings": {"gate.min_probability": 1.5}}, "gate.min_probability = 1.5: give a number within"),
        ({"settings": {"gate.min_probability": True}}, "finite numbers only"),
        ({"settings": {"gallery.path": "/etc/passwd"}}, "finite numbers only"),
        ({"settings": {"gate.radius_m": float("inf")}}, "finite numbers only"),
        ({"settings": {"gate.radius_m": float("nan")}}, "finite numbers only"),
        ({"settings": {"gate.radius_m": 10**400}}, "finite numbers only"),
    ],
)
def test_content_that_cannot_be_is_named_with_the_remedy(
    tmp_path: Path, changes: dict[str, Any], complaint: str
) -> None:
    path = rewritten(tmp_path / "bad.json", **changes)
    with pytest.raises(ConfigError, match=f"bad.json: .*{complaint}.*calibrate"):
        read_calibration(path)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b" " * 100_000, "longer than 65536 bytes"),
        (b"[" * 60_000, "cannot be read as JSON"),
        (b'{"format": 1, "format": 1}', "twice"),
        (b"\xff\xfe", "cannot be read as JSON"),
        (b"", "cannot be read as JSON"),
    ],
)
def test_a_file_that_is_too_much_or_too_little_is_refused(
    tmp_path: Path, content: bytes, complaint: str
) -> None:
    path = tmp_path / "odd.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=f"odd.json: .*{complaint}"):
        read_calibration(path)


# Which file counts, and what is taken from it


def test_the_shipped_figures_count_where_there_is_no_file(tmp_path: Path) -> None:
    config = with_values(LocalizerConfig(), {"gate.radius_m": 40.0})
    assert calibrated(config, None, IDENTITY) == config
    assert calibrated(config, tmp_path / "city.gallery", IDENTITY) == config
    assert find_calibration(config, None, IDENTITY).describe(config) == "shipped"


def test_the_file_beside_the_gallery_is_found_and_none_leaves_it_alone(tmp_path: Path) -> None:
    gallery = tmp_path / "city.v2.gallery"
    assert beside(gallery) == tmp_path / "city.v2.calibration.json"
    write_calibration(beside(gallery), CALIBRATION)
    config = calibrated(LocalizerConfig(), gallery, IDENTITY)
    assert (config.similarity.temperature, config.gate.min_probability) == (0.05, 0.8)
    shipped = with_values(LocalizerConfig(), {"calibration.path": "none"})
    assert calibrated(shipped, gallery, IDENTITY) == shipped


def test_the_named_file_comes_before_the_one_beside_the_gallery(tmp_path: Path) -> None:
    gallery, named = tmp_path / "city.gallery", tmp_path / "named.json"
    write_calibration(beside(gallery), CALIBRATION)
    write_calibration(named, replace(CALIBRATION, settings={"similarity.temperature": 0.07}))
    config = with_values(LocalizerConfig(), {"calibration.path": str(named)})
    assert calibrated(config, gallery, IDENTITY).similarity.temperature == 0.07
    assert calibrated(config, gallery, IDENTITY).gate == LocalizerConfig().gate
    named.unlink()
    with pytest.raises(ConfigError, match=r"named.json: there is no such file.*calibration.path"):
        calibrated(config, gallery, IDENTITY)


def test_what_the_user_changed_is_kept_and_told(tmp_path: Path) -> None:
    gallery = tmp_path / "city.gallery"
    write_calibration(beside(gallery), CALIBRATION)
    config = with_values(LocalizerConfig(), {"gate.min_probability": 0.97})
    found = find_calibration(config, gallery, IDENTITY)
    assert found.apply(config).gate.min_probability == 0.97
    assert found.apply(config).similarity.temperature == 0.05
    text = found.describe(config)
    assert text == f"{beside(gallery)} (similarity.temperature 0.05; not gate.min_probability: given)"


def test_a_file_for_other_weights_is_refused_by_both_hashes(tmp_path: Path) -> None:
    gallery = tmp_path / "city.gallery"
    write_calibration(beside(gallery), replace(CALIBRATION, encoder="f" * 64))
    with pytest.raises(ConfigError, match=f"city.calibration.json: .*{'f' * 64}.*{IDENTITY.weights_hash}"):
        calibrated(LocalizerConfig(), gallery, IDENTITY)
