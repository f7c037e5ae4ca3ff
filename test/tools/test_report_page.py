"""The page of a flight in a real browser, as a person uses it: mouse, keyboard, and texts that mean harm."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from test.tools.browser import PATIENCE_S, chromium, log_of, missing, open_page
from test.tools.reports import FALSE, FRAMES, REFUSED, SCRIPT, VIEW_FIX, write_example

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from selenium.webdriver.chrome.webdriver import WebDriver

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        bool(missing()), reason=f"{missing()} not installed (apt-get install chromium chromium-driver)"
    ),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[WebDriver]:
    with chromium() as driver:
        yield driver


@pytest.fixture(scope="module")
def harmful(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every text in it is a script."""
    path = tmp_path_factory.mktemp("harmful") / "report.html"
    write_example(path, SCRIPT)
    return path


@pytest.fixture
def page(browser: WebDriver, harmful: Path) -> WebDriver:
    for log in ("browser", "performance"):
        log_of(browser, log)  # what earlier tests left
    open_page(browser, harmful)
    return browser


def title(page: WebDriver) -> str:
    return page.find_element(By.ID, "frame-title").text


def view_of(page: WebDriver) -> tuple[float, float, float]:
    """East and north of the middle of the map, and metres a pixel."""
    values: list[float] = page.execute_script("return [map.east, map.north, map.metresPerPixel]")
    return values[0], values[1], values[2]


def click_on_map(page: WebDriver, frame: int) -> None:
    """Where the map draws a frame."""
    canvas = page.find_element(By.ID, "map")
    x, y = page.execute_script(f"return map.toScreen(placeOf(frames[{frame}]))")
    middle_x, middle_y = page.execute_script("return [map.width / 2, map.height / 2]")
    ActionChains(page).move_to_element_with_offset(
        canvas, round(x - middle_x), round(y - middle_y)
    ).click().perform()


def pictures(page: WebDriver, container: str) -> list[Any]:
    """Natural widths of the pictures that a part of the page shows, once they are decoded."""
    script = (
        "const images = [...document.querySelectorAll(`#${arguments[0]} img`)];"
        "return images.every(i => i.complete) ? images.map(i => i.naturalWidth) : null"
    )
    return WebDriverWait(page, PATIENCE_S).until(lambda d: d.execute_script(script, container) or False)


def test_it_opens_without_an_error_and_without_the_network(page: WebDriver) -> None:
    assert log_of(page, "browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in log_of(page, "performance")]
    sent = [message["params"] for message in messages if message["method"] == "Network.requestWillBeSent"]
    requests = [
        one["request"]["url"] for one in sent if one["documentURL"] == page.current_url
    ]  # not the browser's own
    assert page.current_url in requests
    assert {url.split(":")[0] for url in requests} <= {"file", "data"}
    assert page.execute_script("return map.image.naturalWidth") > 0


def test_texts_of_others_are_shown_and_never_run(page: WebDriver) -> None:
    page.execute_script(f"choose({REFUSED})")
    assert page.find_element(By.ID, "detail").text == SCRIPT
    assert SCRIPT in page.find_element(By.ID, "facts").text
    assert SCRIPT in page.find_element(By.TAG_NAME, "h1").text
    assert page.execute_script("return window.hacked") is None
    assert page.find_elements(By.CSS_SELECTOR, "[onerror]") == []


def test_its_policy_runs_no_script_that_got_in(page: WebDriver) -> None:
    page.execute_script(
        "const s = document.createElement('script'); s.textContent = 'window.hacked = 3'; document.body.append(s)"
    )
    assert page.execute_script("return window.hacked") is None
    assert any("Content Security Policy" in entry["message"] for entry in log_of(page, "browser"))


def test_a_click_on_a_fix_shows_its_patch_beside_its_matches(page: WebDriver) -> None:
    click_on_map(page, 2)
    assert title(page) == f"frame 3 of {FRAMES}"
    assert page.find_element(By.ID, "verdict").text == "fix of the vehicle"
    assert pictures(page, "views") == [64]  # the gallery's tiles have 64 pixels
    assert pictures(page, "matches") == [64] * 5
    matches = page.find_element(By.ID, "matches").text
    assert "0.900" in matches
    assert "m from truth" in matches
    words = page.find_element(By.ID, "facts").text
    assert "0.9100" in words
    assert "5.7 m" in words  # 4 m east and 4 m north of the truth


def test_false_fixes_and_refusals_are_called_so(page: WebDriver) -> None:
    click_on_map(page, FALSE)
    assert page.find_element(By.ID, "verdict").text == "FALSE FIX of the vehicle"
    click_on_map(page, REFUSED)
    assert page.find_element(By.ID, "verdict").text == "refused: view_invalid"
    assert "refused before the search" in page.find_element(By.ID, "matches").text
    click_on_map(page, VIEW_FIX)
    assert page.find_element(By.ID, "verdict").text == "fix of the view"


def test_arrow_keys_step_through_the_frames(page: WebDriver) -> None:
    assert title(page) == f"frame 1 of {FRAMES}"
    keys = ActionChains(page)
    keys.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_LEFT).perform()
    assert title(page) == f"frame 2 of {FRAMES}"
    ActionChains(page).send_keys(Keys.END, Keys.ARROW_RIGHT).perform()
    assert title(page) == f"frame {FRAMES} of {FRAMES}"
    page.find_element(By.ID, "slider").send_keys(Keys.ARROW_LEFT)
    assert title(page) == f"frame {FRAMES - 1} of {FRAMES}"


def test_stepping_through_one_kind_of_frame(page: WebDriver) -> None:
    choice = page.find_element(By.ID, "among")
    Select(choice).select_by_value("false")
    assert title(page) == f"frame {FALSE + 1} of {FRAMES}"
    assert page.find_element(By.ID, "among-count").text == "1"
    Select(choice).select_by_value("refused")
    assert title(page) == f"frame {REFUSED + 1} of {FRAMES}"


def test_a_click_on_the_time_line_chooses_the_frame_there(page: WebDriver) -> None:
    strip = page.find_element(By.ID, "time")
    width = page.execute_script("return document.getElementById('time').clientWidth")
    share = page.execute_script("return GUTTER_PX") / width
    middle = (1 - share) * (5.5 / FRAMES) - 0.5
    ActionChains(page).move_to_element_with_offset(strip, round(middle * width), 0).click().perform()
    assert title(page) == f"frame 6 of {FRAMES}"


def test_the_map_is_dragged_and_zoomed(page: WebDriver) -> None:
    canvas = page.find_element(By.ID, "map")
    east, north, scale = view_of(page)
    ActionChains(page).drag_and_drop_by_offset(canvas, 100, 40).perform()
    assert view_of(page) == pytest.approx((east - 100 * scale, north + 40 * scale, scale), rel=1e-6)
    page.find_element(By.ID, "zoom-in").click()
    assert view_of(page)[2] == pytest.approx(scale / 1.5)
    page.find_element(By.ID, "zoom-out").click()
    page.find_element(By.ID, "zoom-fit").click()
    assert view_of(page) == pytest.approx((east, north, scale))


def test_the_wheel_zooms_about_the_pointer(page: WebDriver) -> None:
    canvas = page.find_element(By.ID, "map")
    under = page.execute_script("return map.toGround(map.width / 2 + 150, map.height / 2 + 60)")
    scale = view_of(page)[2]
    from selenium.webdriver.common.actions.wheel_input import ScrollOrigin

    ActionChains(page).scroll_from_origin(ScrollOrigin.from_element(canvas, 150, 60), 0, -400).perform()
    WebDriverWait(page, PATIENCE_S).until(lambda d: view_of(d)[2] < 0.8 * scale)
    now = page.execute_script("return map.toGround(map.width / 2 + 150, map.height / 2 + 60)")
    assert now == pytest.approx(under, abs=2 * scale)


def test_two_fingers_zoom(page: WebDriver) -> None:
    box = page.execute_script(
        "const b = map.canvas.getBoundingClientRect(); return [b.left, b.top, b.width, b.height]"
    )
    x, y = box[0] + box[2] / 2, box[1] + box[3] / 2
    scale = view_of(page)[2]
    for kind, apart in (("touchStart", 40), ("touchMove", 60), ("touchMove", 80), ("touchEnd", 0)):
        points = [{"x": x - apart, "y": y, "id": 0}, {"x": x + apart, "y": y, "id": 1}] if apart else []
        page.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    WebDriverWait(page, PATIENCE_S).until(lambda d: view_of(d)[2] == pytest.approx(scale / 2, rel=0.05))


def test_layers_change_what_the_map_shows(page: WebDriver) -> None:
    pixels = (
        "map.draw(); const c = map.canvas; const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        "let sum = 0; for (let i = 0; i < d.length; i += 4) sum += d[i] + 3 * d[i + 1] + 7 * d[i + 2]; return sum"
    )
    before = page.execute_script(pixels)
    boxes = page.find_elements(By.CSS_SELECTOR, "#layers input")
    assert len(boxes) == page.execute_script("return LAYERS.length")
    for box in boxes:
        box.click()
        now = page.execute_script(pixels)
        assert now != before
        before = now


def test_it_reads_on_a_small_screen(page: WebDriver) -> None:
    page.set_window_size(500, 900)
    try:
        wide, shown = page.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
        assert wide <= shown
    finally:
        page.set_window_size(1500, 1100)
