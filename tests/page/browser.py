"""Chromium without a screen, started so that it asks nobody for anything of its own."""

import os
import shutil

from playwright.sync_api import Browser, Playwright

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


def find_chromium() -> str | None:
    """The path of the browser, or None where there is none."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


def launch(playwright: Playwright, program: str) -> Browser:
    """Start the browser; it takes no proxy from this machine's environment."""
    return playwright.chromium.launch(
        executable_path=program,
        args=[
            "--no-sandbox",  # it may run as root, where it has none
            "--disable-gpu",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-first-run",
        ],
        env={name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")},
    )
