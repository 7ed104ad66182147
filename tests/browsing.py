"""A page in headless Chromium, with everything that it complained about or asked for."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


@contextmanager
def opened_page(file: Path) -> Iterator[tuple[Any, dict[str, list[str]]]]:
    """The tab, and its console messages, requests and errors. Skips, giving the reason, where there is no browser."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no chromium on this machine: install it to open the report")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    events: dict[str, list[str]] = {"console": [], "request": [], "error": []}
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1280, "height": 900})
        tab.on("console", lambda message: events["console"].append(f"{message.type}: {message.text}"))
        tab.on("request", lambda request: events["request"].append(request.url))
        tab.on("pageerror", lambda error: events["error"].append(str(error)))
        tab.goto(file.as_uri())
        yield tab, events
        browser.close()
