"""A real browser for tests of pages: Debian's Chromium, headless, driven by Selenium.

Nothing of it is left afterwards.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

WAIT_S = 20
# Without these Chromium contacts servers of its maker at every start.
QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


def missing() -> str:
    """What has to be installed before a page can be tested; empty when nothing is missing."""
    absent = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    if absent:
        return f"{' and '.join(absent)} not found: apt-get install chromium chromium-driver"
    with contextlib.suppress(ImportError):
        import selenium  # noqa: F401

        return ""
    return "selenium not found: pip install selenium"


@contextlib.contextmanager
def browser(width: int = 1440, height: int = 1100) -> Iterator[Page]:
    """A fresh browser with an empty profile."""
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    with tempfile.TemporaryDirectory(
        prefix="kvsim-browser-", ignore_cleanup_errors=True
    ) as profile:
        options = Options()
        options.binary_location = shutil.which("chromium")
        for flag in (*QUIET, f"--window-size={width},{height}", f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        try:
            driver.set_script_timeout(WAIT_S)
            yield Page(driver)
        finally:
            driver.quit()


class Page:
    """A page, as a test uses it."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, address: str | Path) -> None:
        self.driver.get(address.resolve().as_uri() if isinstance(address, Path) else address)
        self.settle()

    @contextlib.contextmanager
    def shown_as(self, scheme: str, width: int) -> Iterator[None]:
        """The page, opened again in a colour scheme (`light`, `dark`), at a width in pixels."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.driver.refresh()
        self.settle()
        try:
            yield
        finally:
            self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
            self.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

    def violations(self) -> list[tuple[str, str]]:
        """What axe-core finds against WCAG 2.1 A and AA: rule and element."""
        from axe_core_python.selenium import Axe

        rules = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}
        found = Axe().run(self.driver, options=rules)
        return [
            (rule["id"], node["html"]) for rule in found["violations"] for node in rule["nodes"]
        ]

    def settle(self) -> None:
        """Wait until the last change has been drawn."""
        self.driver.execute_async_script(
            "requestAnimationFrame(() => requestAnimationFrame(arguments[arguments.length - 1]))"
        )

    def run(self, script: str, *arguments: Any) -> Any:
        found = self.driver.execute_script(script, *arguments)
        self.settle()
        return found

    def click(self, selector: str) -> None:
        from selenium.webdriver.common.by import By

        self.driver.find_element(By.CSS_SELECTOR, selector).click()
        self.settle()

    def text(self, selector: str) -> str:
        return self.run("return document.querySelector(arguments[0]).innerText", selector)

    def type(self, selector: str, text: str) -> None:
        from selenium.webdriver.common.by import By

        self.driver.find_element(By.CSS_SELECTOR, selector).send_keys(text)
        self.settle()

    def keys(self, text: str) -> None:
        """Press keys with nothing focused."""
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self.driver).send_keys(text).perform()
        self.settle()

    def click_at(self, selector: str, x: float, y: float) -> None:
        """Click inside an element, at pixels from its top left corner."""
        from selenium.webdriver.common.action_chains import ActionChains
        from selenium.webdriver.common.by import By

        found = self.driver.find_element(By.CSS_SELECTOR, selector)
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", found)
        size = found.size
        ActionChains(self.driver).move_to_element_with_offset(
            found, int(x - size["width"] / 2), int(y - size["height"] / 2)
        ).click().perform()
        self.settle()

    def errors(self) -> list[str]:
        """The messages of the console."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """Every address that was requested."""
        import json

        messages = [
            json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")
        ]
        return [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]

    def resize(self, width: int, height: int) -> None:
        self.driver.set_window_size(width, height)
        self.settle()

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        if whole:
            height = self.run("return document.documentElement.scrollHeight")
            self.driver.set_window_size(self.driver.get_window_size()["width"], height + 160)
            self.settle()
        self.driver.save_screenshot(str(path))
