"""The page as people see it: served by Microsoft's worker over the simulator, in a Chromium without a screen."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, WebError, expect, sync_playwright

from simulator import Simulator
from simulator.demo import app_environment, app_folder
from simulator.functions import FunctionsHost
from tests.leaks import Leaks
from tests.page.browser import find_chromium, launch
from tests.page.history import runner

type Serve = Callable[..., FunctionsHost]
type Visit = Callable[..., Page]
type MakeContext = Callable[..., BrowserContext]

PROPERTIES = "id,createdDateTime,displayName,userPrincipalName,mail,jobTitle,accountEnabled"


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium; where there is none these tests are skipped, in CI they fail."""
    program = find_chromium()
    if program is None:
        reason = "Chromium is not installed: apt-get install chromium, or put Google Chrome on the PATH"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    # Long enough for a machine that does much else.
    expect.set_options(timeout=30_000)
    # It ends with this package: while it runs, this thread has an event loop that no other test could share.
    with sync_playwright() as playwright, launch(playwright, program) as chromium:
        yield chromium


@pytest.fixture(scope="package")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="package")
def _host(_simulator: Simulator, _folder: Path, leaks: Leaks) -> Iterator[FunctionsHost]:
    _simulator.reset()
    environment = app_environment(_simulator, _folder) | {"USERS_SELECT": PROPERTIES}
    with FunctionsHost(app_folder(_folder), environment, show=_noting(leaks)) as running:
        leaks.know(running.keys.default, running.keys.master)
        yield running


@pytest.fixture
def store(_folder: Path) -> Path:
    """Where users are stored: nothing yet."""
    folder = _folder / "users"
    shutil.rmtree(folder, ignore_errors=True)
    return folder


@pytest.fixture
def host(azure: Simulator, _host: FunctionsHost, store: Path) -> FunctionsHost:
    """The app, over a tenant without users and an empty store."""
    return _host


@pytest.fixture
def serve(azure: Simulator, leaks: Leaks, tmp_path: Path) -> Iterator[Serve]:
    """Serves the app with these settings in place of the usual ones, until the test ends."""
    with ExitStack() as running:

        def start(**settings: str) -> FunctionsHost:
            environment = app_environment(azure, tmp_path) | {"USERS_SELECT": PROPERTIES} | settings
            host = running.enter_context(FunctionsHost(app_folder(tmp_path), environment, show=_noting(leaks)))
            leaks.know(host.keys.default, host.keys.master)
            return host

        yield start


@pytest.fixture
def run_at(azure: Simulator, host: FunctionsHost, store: Path) -> Callable[[datetime], None]:
    """Makes a run that began at a time, into the store of the app."""
    return runner(
        {**app_environment(azure, store.parent), "USERS_SELECT": PROPERTIES, "SNAPSHOT_FORMATS": "ndjson,csv"}
    )


class Watch:
    """What a browser does that this page must not make it do.

    Attributes:
        hosts: that it may ask besides the page's own.
    """

    def __init__(self, context: BrowserContext) -> None:
        self.hosts: set[str] = set()
        self.requests: list[Request] = []
        self.errors: list[str] = []
        self.violations: list[str] = []
        context.on("request", self._asked)
        context.on("weberror", self._failed)
        context.expose_binding("violated", self._violated)
        context.add_init_script(
            "addEventListener('securitypolicyviolation', (event) => violated(event.effectiveDirective))"
        )

    def check(self) -> None:
        """Raise AssertionError if the page broke its policy, failed, or asked another host than its own."""
        assert self.violations == []
        assert self.errors == []
        asked = [each for each in self.requests if not each.url.startswith(("data:", "blob:"))]
        assert {each.url.split("/")[2] for each in asked} <= {*self.hosts, asked[0].url.split("/")[2]}

    def _asked(self, request: Request) -> None:
        self.requests.append(request)

    def _failed(self, error: WebError) -> None:
        self.errors.append(str(error.error))

    def _violated(self, _: object, directive: str) -> None:
        self.violations.append(directive)


@pytest.fixture
def make_context(browser: Browser) -> Iterator[MakeContext]:
    """Makes browsers without cookies or history; at the end none has broken the page's policy, met an error in it, or
    asked another host."""
    watches: list[Watch] = []
    with ExitStack() as opened:

        def make(*hosts: str, **options: Any) -> BrowserContext:
            usual: dict[str, Any] = {
                "viewport": {"width": 1280, "height": 900},
                "timezone_id": "UTC",
                "reduced_motion": "reduce",
            }
            context = browser.new_context(**(usual | options))
            opened.callback(context.close)
            watches.append(Watch(context))
            watches[-1].hosts.update(hosts)
            return context

        yield make
        for watch in watches:
            watch.check()


@pytest.fixture
def visit(make_context: MakeContext, host: FunctionsHost) -> Visit:
    """Opens the page in a browser, with a key."""

    def go(at: FunctionsHost = host, **options: Any) -> Page:
        page = make_context(**options).new_page()
        page.goto(f"{at.url}/api/?code={at.keys.default}")
        return page

    return go


def _noting(leaks: Leaks) -> Callable[[object], None]:
    return lambda entry: leaks.note("the Functions host's log", str(entry))
