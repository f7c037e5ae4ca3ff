"""A headless browser for pages, and a picture of one: python -m test.tools.browser PAGE.html PICTURE.jpg [FRAME]."""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selenium.webdriver.chrome.webdriver import WebDriver

PATIENCE_S = 60
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars",
)  # fmt: skip


def missing() -> str:
    """What a browser test lacks on this machine; empty where it can run."""
    return " and ".join(name for name in ("chromium", "chromedriver") if shutil.which(name) is None)


@contextmanager
def chromium(width_px: int = 1500, height_px: int = 1100) -> Iterator[WebDriver]:
    """Debian's chromium with a profile of its own that keeps a record of its console and its requests."""
    options = Options()
    options.binary_location = str(shutil.which("chromium"))
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for flag in (*FLAGS, f"--user-data-dir={profile}", f"--window-size={width_px},{height_px}"):
            options.add_argument(flag)
        driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        try:
            driver.set_script_timeout(PATIENCE_S)
            yield driver
        finally:
            driver.quit()


def open_page(driver: WebDriver, page: Path) -> None:
    """Load a report and wait until its map is drawn."""
    driver.get(page.resolve().as_uri())
    WebDriverWait(driver, PATIENCE_S).until(
        lambda d: d.execute_script("return map.image.complete && !map.waiting")
    )


def log_of(driver: WebDriver, name: str) -> list[dict[str, Any]]:
    """What came since it was last asked for: `browser` is the console, `performance` the requests."""
    entries: list[dict[str, Any]] = driver.get_log(name)  # type: ignore[no-untyped-call]
    return entries


def photograph(page: Path, picture: Path, frame: int | None = None, *, dark: bool = False) -> None:
    """The top of a report, with a frame chosen and the map zoomed in on it, as a JPEG."""
    with chromium(1500, 1340) as driver:
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        open_page(driver, page)
        if frame is not None:
            driver.execute_script(
                "choose(arguments[0]); zoomBy(2.2); map.reveal(placeOf(frames[arguments[0]]))", frame
            )
        WebDriverWait(driver, PATIENCE_S).until(lambda d: d.execute_script("return !map.waiting"))
        shot = Image.open(io.BytesIO(driver.get_screenshot_as_png())).convert("RGB")
        shot.save(picture, quality=82, optimize=True, progressive=True)


if __name__ == "__main__":
    photograph(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else None)
