"""Takes the picture of the page for the documentation: `.venv/bin/python -m tests.page.picture [docs/page.png]`.

The tenant and four weeks of its runs are made up by the simulator; the app and the browser are real.
"""

import os
import random
import sys
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

from simulator import Simulator
from simulator.demo import app_environment, app_folder
from simulator.functions import FunctionsHost
from tests.page.browser import find_chromium, launch
from tests.page.history import runner

DAYS = 26


def main(target: Path) -> str | None:
    """Write the picture; returns what to exit with."""
    program = find_chromium()
    if program is None:
        return "Chromium is not installed."
    with tempfile.TemporaryDirectory(prefix="picture-") as name, Simulator(users=2000) as azure:
        environment = app_environment(azure, Path(name)) | {"SNAPSHOT_FORMATS": "ndjson,csv"}
        write_weeks(azure, environment)
        with (
            FunctionsHost(app_folder(Path(name)), environment) as host,
            sync_playwright() as playwright,
            launch(playwright, program) as browser,
        ):
            page = browser.new_page(viewport={"width": 1280, "height": 1200}, timezone_id="UTC")
            page.goto(f"{host.url}/api/?code={host.keys.default}")
            page.get_by_role("searchbox").fill("adele w")
            page.keyboard.press("Enter")
            expect(page.locator("#users-range")).to_contain_text(" of ")
            expect(page.get_by_role("button", name="What was seen")).to_be_visible()
            expect(page.get_by_role("img")).to_be_visible()
            page.locator("body").click(position={"x": 2, "y": 2})
            page.screenshot(path=target)
    return None


def write_weeks(azure: Simulator, environment: Mapping[str, str]) -> None:
    """A run every night, and on working days some who come, some who leave, some who change."""
    os.environ |= azure.environment
    choice, run = random.Random(4), runner(environment)  # noqa: S311 -- made up
    due = datetime.now(UTC).replace(hour=2, minute=0, second=0, microsecond=0)
    last = due if due <= datetime.now(UTC) else due - timedelta(days=1)
    for number in range(DAYS, -1, -1):
        at = last - timedelta(days=number)
        if number < DAYS and at.weekday() < 5:
            users = [user["id"] for user in azure.directory.users(["id"])]
            for _ in range(choice.randrange(1, 9)):
                azure.directory.add()
            for user in choice.sample(users, choice.randrange(5)):
                azure.directory.remove(user)
            for user in choice.sample([user["id"] for user in azure.directory.users(["id"])], 3):
                azure.directory.update(user, officeLocation="18/2112")
        run(at)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/page.png")))
