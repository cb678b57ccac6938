"""What is stored, on the page: how many, since when, who came and left, the runs, and the files."""

# ruff: noqa: RUF001 -- ranges and what is missing are written with a dash
import gzip
import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from entra_users.connection import connect_store, connect_sync
from entra_users.errors import ShrinkRefused
from entra_users.jobs import start_run
from entra_users.runs import fail_run
from entra_users.settings import Settings
from entra_users.snapshot import Plan
from simulator import Simulator
from simulator.azurite import Azurite
from simulator.demo import app_environment
from tests.page.conftest import PROPERTIES, MakeContext, Serve, Visit
from tests.page.history import runner

ACCOUNT = "account.blob.core.windows.net"
FIRST = datetime(2026, 11, 1, 2, tzinfo=UTC)
NOW = FIRST + timedelta(days=3, hours=5)

type RunAt = Callable[[datetime], None]


def tile(page: Page, name: str) -> list[str]:
    return [page.locator(f"#tile-{name}{part}").inner_text() for part in ("", "-note")]


def changes(page: Page) -> Locator:
    return page.get_by_role("region", name="Changes")


def rows(page: Page) -> list[list[str]]:
    table = changes(page).get_by_role("table", name="Runs")
    return [row.get_by_role("cell").all_inner_texts() for row in table.get_by_role("row").all()[1:]]


@pytest.fixture
def three_days(azure: Simulator, run_at: RunAt) -> None:
    """Runs on three of four days: 5 users, then 2 come and 1 leaves, then nothing, then 1 comes."""
    users = [azure.directory.add(displayName=f"User {number}")["id"] for number in range(5)]
    run_at(FIRST)
    azure.directory.remove(users[0])
    azure.directory.update(users[1], displayName="Another")
    for _ in range(2):
        azure.directory.add()
    run_at(FIRST + timedelta(days=1))
    run_at(FIRST + timedelta(days=1, hours=1))
    azure.directory.add()
    run_at(FIRST + timedelta(days=3))


@pytest.fixture
def at_now(visit: Visit) -> Page:
    """The page, not yet opened, in a browser whose clock stands at NOW."""
    page = visit()
    page.clock.set_fixed_time(NOW)
    page.get_by_role("button", name="Refresh").click()
    expect(page.get_by_role("status")).to_have_text("Everything was read anew.")
    return page


def test_before_the_first_run_the_page_says_how_to_start_one(visit: Visit) -> None:
    page = visit()
    expect(changes(page).get_by_role("heading", name="Nothing is stored yet")).to_be_visible()
    expect(changes(page)).to_contain_text("POST /api/sync")
    expect(page.get_by_role("region", name="Downloads")).to_contain_text("Nothing is stored yet")
    assert [tile(page, name) for name in ("users", "age", "change")] == [["–", "nothing is stored yet"]] * 3


def test_the_tiles_tell_how_many_are_stored_as_of_when_and_who_came_and_left(three_days: None, at_now: Page) -> None:
    assert tile(at_now, "users") == ["7", "in the published snapshot"]
    assert tile(at_now, "age") == ["5 hours ago", "4 Nov 2026, 02:00"]
    # Those whom the first run stored did not join by it.
    assert tile(at_now, "change") == ["+3 / \N{MINUS SIGN}1", "since 1 Nov 2026, 02:00"]


def test_runs_are_listed_newest_first(three_days: None, at_now: Page) -> None:
    assert rows(at_now) == [
        ["7", "+1", "–", "–", "Download"],
        ["6", "–", "–", "–", "–"],
        ["6", "+2", "\N{MINUS SIGN}1", "1", "Download"],
        ["5", "–", "–", "–", "–"],
        ["5", "–", "–", "–", "–"],
    ]
    assert [" ".join(each.split()) for each in changes(at_now).get_by_role("rowheader").all_inner_texts()] == [
        "4 Nov 2026, 02:00 Changes read in 2.0 s",
        "2 Nov 2026, 03:00 Nothing changed in 2.0 s",
        "2 Nov 2026, 02:00 Changes read in 2.0 s",
        # What changed while everyone was read.
        "1 Nov 2026, 02:00 Nothing changed in 2.0 s",
        "1 Nov 2026, 02:00 Everyone read in 6.0 s",
    ]


def test_the_chart_has_every_day_and_says_in_words_what_it_shows(three_days: None, at_now: Page) -> None:
    picture = changes(at_now).get_by_role("img")
    expect(picture).to_have_accessible_name("From 1 Nov to 4 Nov: from 5 to 7 users, 3 joined and 1 left.")
    assert picture.locator("title").all_text_contents() == [
        "1 Nov: 5 users, 0 joined, 0 left",
        "2 Nov: 6 users, 2 joined, 1 left",
        "3 Nov: 6 users, 0 joined, 0 left",
        "4 Nov: 7 users, 1 joined, 0 left",
    ]
    heights = {name: picture.locator(f".{name}").count() for name in ("joined", "gone")}
    assert heights == {"joined": 2, "gone": 1}


def test_more_runs_are_shown_when_asked_for(azure: Simulator, run_at: RunAt, at_now: Page) -> None:
    azure.directory.add()
    for hour in range(7):
        run_at(FIRST + timedelta(hours=hour))
    at_now.get_by_role("button", name="Refresh").click()
    more = at_now.get_by_role("button", name="Show all 8 runs")
    expect(more).to_have_attribute("aria-expanded", "false")
    assert len(rows(at_now)) == 5
    # All of one day: no chart yet.
    expect(changes(at_now)).to_contain_text("A chart of users over time is drawn from the second day on.")
    more.click()
    expect(at_now.get_by_role("button", name="Show the last 5")).to_be_focused()
    assert len(rows(at_now)) == 8


@pytest.fixture
def settings(azure: Simulator, store: Path) -> Settings:
    """Those of the app."""
    return Settings.read({**app_environment(azure, store.parent), "USERS_SELECT": PROPERTIES})


def test_a_run_that_has_not_ended_is_shown_with_how_far_it_is(
    visit: Visit, azure: Simulator, settings: Settings
) -> None:
    for _ in range(3):
        azure.directory.add()
    now = datetime.now(UTC)
    start = start_run(connect_store(settings), settings.users_select, now=now, suffix="00000000")
    page = visit()
    expect(changes(page).get_by_role("heading", name="A run waits to begin")).to_be_visible()
    sync = connect_sync(settings)
    plan = sync.begin(start)
    assert isinstance(plan, Plan)
    page.get_by_role("button", name="Refresh").click()
    expect(changes(page).get_by_role("heading", name="A run is under way")).to_be_visible()
    expect(changes(page)).to_contain_text("0 of 1 part read. 0 of about 3 users.")
    expect(changes(page).get_by_role("progressbar", name="Parts read")).to_have_attribute("max", "1")
    sync.export_all(plan)
    sync.publish(plan)
    page.get_by_role("button", name="Refresh").click()
    expect(changes(page).get_by_role("table", name="Runs")).to_be_visible()
    expect(changes(page).get_by_role("heading", name="A run")).to_have_count(0)


def test_a_run_that_failed_is_shown_with_why(visit: Visit, three_days: None, settings: Settings) -> None:
    store, now = connect_store(settings), datetime(2026, 11, 20, tzinfo=UTC)
    start = start_run(store, settings.users_select, now=now, suffix="00000000")
    fail_run(store, start.run, ShrinkRefused("The directory would shrink <b>."), now)
    page = visit()
    expect(changes(page).get_by_role("heading", name="The last run failed")).to_be_visible()
    expect(changes(page)).to_contain_text("The directory would shrink <b>.")
    expect(changes(page)).to_contain_text("ShrinkRefused · 20 Nov 2026, 00:00")


def test_files_are_downloaded_as_they_are_stored(three_days: None, visit: Visit, store: Path) -> None:
    page = visit()
    files = page.get_by_role("region", name="Downloads")
    expect(files.get_by_role("button", name="users.csv.gz")).to_be_visible()
    manifest = json.loads((store / "latest.json").read_bytes())
    stored = [manifest["csv"], *(part["file"] for part in manifest["parts"])]
    for file in stored:
        with page.expect_download() as download:
            files.get_by_role("button", name=file["name"].rpartition("/")[2]).click()
        assert hashlib.sha256(download.value.path().read_bytes()).hexdigest() == file["sha256"]
        assert download.value.suggested_filename == file["name"].removeprefix("snapshots/").replace("/", "-")
        expect(page.get_by_role("status")).to_have_text("The download has begun.")


def test_the_changes_of_a_run_are_downloaded(three_days: None, visit: Visit) -> None:
    page = visit()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download: the changes of 2 Nov 2026, 02:00").click()
    lines = gzip.decompress(download.value.path().read_bytes()).splitlines()
    assert sorted(json.loads(line)["change"] for line in lines) == ["added", "added", "removed", "updated"]


def test_a_file_that_is_there_no_more_is_told(three_days: None, visit: Visit, store: Path) -> None:
    page = visit()
    files = page.get_by_role("region", name="Downloads")
    expect(files.get_by_role("button", name="users.csv.gz")).to_be_visible()
    (store / "latest.json").unlink()
    files.get_by_role("button", name="users.csv.gz").click()
    expect(files.get_by_role("heading", name="There is nothing here yet")).to_be_visible()
    expect(files).to_contain_text("There is no snapshot yet")


def test_a_store_that_fails_is_told_and_nothing_of_it_is_shown(three_days: None, visit: Visit, store: Path) -> None:
    (store / "latest.json").write_text("spoiled")
    page = visit()
    expect(changes(page).get_by_role("heading", name="The app could not do this")).to_have_count(2)
    assert [tile(page, name) for name in ("users", "age", "change")] == [["–", "not known"]] * 3
    expect(page.get_by_role("region", name="Downloads")).to_contain_text("Not known")


def test_files_in_a_blob_container_are_downloaded_from_there(
    azure: Simulator, azurite: Azurite, container: str, serve: Serve, make_context: MakeContext, tmp_path: Path
) -> None:
    azure.directory.add(displayName="Adele")
    runner({**app_environment(azure, tmp_path), "USERS_SELECT": PROPERTIES, "USERS_STORE": container})(FIRST)
    host = serve(USERS_STORE=container)
    proxy = {"server": azure.environment["HTTPS_PROXY"], "bypass": "127.0.0.1"}
    page = make_context(ACCOUNT, proxy=proxy, ignore_https_errors=True).new_page()
    page.goto(f"{host.url}/api/?code={host.keys.default}")
    with page.expect_download() as download:
        page.get_by_role("button", name="part-00000.ndjson.gz").click()
    (line,) = gzip.decompress(download.value.path().read_bytes()).splitlines()
    assert json.loads(line)["displayName"] == "Adele"
    assert page.url == f"{host.url}/api/"
