"""The browser that the pages are tried in: Debian's chromium and chromium-driver, or Chrome."""

import shutil

from tests.helpers.tools import skip_or_fail

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MISSING = (
    "the pages were not tried in a browser: there is none. On Debian: apt install chromium "
    "chromium-driver"
)


def find_browser() -> tuple[str, str]:
    """Return the paths of browser and driver; skip the test where there are none, fail under CI."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    driver = shutil.which("chromedriver")
    if browser and driver:
        return browser, driver
    skip_or_fail(MISSING)


def type_text(driver, field, text: str) -> None:
    """Put `text` into the field, and the cursor behind it.

    By script: ChromeDriver cannot type characters outside the Basic Multilingual Plane.
    """
    driver.execute_script(
        "arguments[0].value = arguments[1];"
        "arguments[0].dispatchEvent(new Event('input', {bubbles: true}));",
        field,
        text,
    )
