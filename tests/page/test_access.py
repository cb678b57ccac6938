"""The page for everybody: by keyboard, by screen reader, on a narrow screen, in the dark."""

# ruff: noqa: RUF001 -- ranges and what is missing are written with a dash
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from simulator import Simulator
from simulator.faults import server_error
from tests.page.conftest import Visit

LONG = "Wolfeschlegelsteinhausenbergerdorffwelchevoralternwarengewissenhaftschaferswessenschafe"


@pytest.fixture
def filled(azure: Simulator, run_at: Callable[[datetime], None]) -> None:
    """A tenant with users enough for two pages, one of them with long names, and runs on two days."""
    for number in range(29):
        azure.directory.add(displayName=f"User {number:03}", jobTitle="Engineer")
    azure.directory.add(displayName=LONG, jobTitle=LONG, mail=f"{LONG}@contoso.com")
    day = datetime.now(UTC) - timedelta(days=3)
    run_at(day)
    azure.directory.add(displayName="User 030")
    run_at(day + timedelta(days=1))


def loaded(page: Page) -> Page:
    expect(page.locator("#users-range")).to_have_text("Users 1–25")
    expect(page.get_by_role("table", name="Runs")).to_be_visible()
    expect(page.get_by_role("button", name="What was seen")).to_be_visible()
    return page


def faults_of(page: Page) -> list[str]:
    """What axe-core finds: https://github.com/dequelabs/axe-core/blob/develop/doc/rule-descriptions.md"""
    found = Axe().run(page).response["violations"]
    return [f"{each['id']}: {node['html']}" for each in found for node in each["nodes"]]


def focused(page: Page) -> str:
    """The accessible name of what has the focus, or its tag."""
    return page.evaluate(
        "(({ ariaLabel, innerText, id, tagName }) => ariaLabel || innerText || id || tagName)(document.activeElement)"
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 768, 1280])
def test_no_rule_of_accessibility_is_broken(filled: None, visit: Visit, scheme: str, width: int) -> None:
    page = loaded(visit(color_scheme=scheme, viewport={"width": width, "height": 800}))
    page.get_by_role("button", name="What was seen").click()
    assert faults_of(page) == []
    page.get_by_role("button", name="User 000").click()
    assert faults_of(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_rule_is_broken_where_something_failed_or_nothing_is_there(
    visit: Visit, azure: Simulator, scheme: str
) -> None:
    azure.faults.plan(server_error(503, "200", path="/users$", times=None))
    page = visit(color_scheme=scheme)
    expect(page.get_by_role("region", name="Users", exact=True).get_by_role("button", name="Try again")).to_be_visible()
    expect(page.get_by_role("button", name="What was seen")).to_be_visible()
    assert faults_of(page) == []


def test_landmarks_headings_and_controls_have_names(filled: None, visit: Visit) -> None:
    page = loaded(visit())
    for found, names in (
        (page.get_by_role("banner"), [""]),
        (page.get_by_role("navigation"), ["On this page", "Pages of users"]),
        (page.get_by_role("main"), [""]),
        (page.get_by_role("region"), ["Overview", "Users", "Check", "Changes", "Downloads"]),
        (page.get_by_role("contentinfo"), [""]),
    ):
        expect(found).to_have_count(len(names))
        for number, name in enumerate(names):
            expect(found.nth(number)).to_have_accessible_name(name)
    expect(page.get_by_role("heading", level=1)).to_have_text("Entra users")
    for control in page.locator("button:visible, a:visible, input:visible").all():
        expect(control).not_to_have_accessible_name("")
    expect(page.get_by_role("searchbox")).to_have_accessible_description(
        "By the beginning of display name, mail, or user principal name."
    )


def test_everything_is_done_by_keyboard_alone(filled: None, visit: Visit) -> None:
    page = loaded(visit())
    press = page.keyboard.press
    press("Tab")
    assert focused(page) == "Skip to the users"
    press("Enter")
    press("Tab")
    assert focused(page) == "term"
    page.keyboard.type("user")
    press("Enter")
    expect(page.get_by_role("status")).to_have_text("Users 1–25 of 30")
    assert focused(page) == "term"
    for name in ("Search", "Show all", "User 000"):
        press("Tab")
        assert focused(page) == name
    press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    assert focused(page) == "Close"
    press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    assert focused(page) == "User 000"
    for _ in range(26):
        press("Tab")
    assert focused(page) == "Next"
    press("Enter")
    expect(page.get_by_role("status")).to_have_text("Users 26–30 of 30")
    assert focused(page) == "Users"
    press("Tab")
    press("Tab")
    press("Tab")
    press("Enter")
    expect(page.get_by_role("status")).to_have_text("Users 1–25")
    assert focused(page) == "term"


def test_what_has_the_focus_is_seen_to_have_it(filled: None, visit: Visit) -> None:
    page = loaded(visit())
    expect(page.locator("#users tbody th button")).to_have_count(25)
    stops: list[str] = []
    while True:
        page.keyboard.press("Tab")
        outline = page.evaluate(
            "document.activeElement === document.body ? null : (({ outlineStyle, outlineWidth }) =>"
            " [outlineStyle, outlineWidth])(getComputedStyle(document.activeElement))"
        )
        if outline is None:
            break
        stops.append(focused(page))
        assert outline == ["solid", "3px"], stops[-1]
    controls = page.locator("button:visible, a:visible, input:visible, summary:visible")
    assert len(stops) == controls.count()


def test_a_screen_reader_hears_what_was_asked_for(filled: None, visit: Visit) -> None:
    page = loaded(visit())
    status = page.get_by_role("status")
    page.get_by_role("button", name="Next").click()
    expect(status).to_have_text("Users 26–31")
    page.get_by_role("button", name="Refresh").click()
    expect(status).to_have_text("Everything was read anew.")
    page.get_by_role("searchbox").fill("nobody at all")
    page.keyboard.press("Enter")
    expect(status).to_have_text("No user was found.")


def test_at_320_pixels_nothing_has_to_be_scrolled_sideways(filled: None, visit: Visit, azure: Simulator) -> None:
    page = loaded(visit(viewport={"width": 320, "height": 640}))

    def overhang() -> list[str]:
        return page.evaluate(
            "[...document.querySelectorAll('body *')].filter((each) => each.checkVisibility()"
            " && each.getBoundingClientRect().right > 320.5 && !each.closest('.unseen')).map((each) => each.outerHTML)"
        )

    page.get_by_role("button", name="What was seen").click()
    assert (page.evaluate("document.documentElement.scrollWidth"), overhang()) == (320, [])
    page.get_by_role("searchbox").fill(LONG[:10])
    page.keyboard.press("Enter")
    page.get_by_role("button", name=LONG).click()
    assert (page.evaluate("document.documentElement.scrollWidth"), overhang()) == (320, [])
    page.keyboard.press("Escape")
    azure.entra.application.graph_roles.clear()
    azure.faults.plan(server_error(503, "200", path="/users$", times=None))
    page.get_by_role("button", name="Refresh").click()
    expect(page.get_by_role("region", name="Users", exact=True).get_by_role("button", name="Try again")).to_be_visible()
    expect(page.locator("#tile-check")).to_have_text("Failed")
    assert (page.evaluate("document.documentElement.scrollWidth"), overhang()) == (320, [])


def test_tables_stay_tables_on_a_narrow_screen(filled: None, visit: Visit) -> None:
    page = loaded(visit(viewport={"width": 320, "height": 640}))
    users = page.get_by_role("table", name="Users")
    assert users.get_by_role("columnheader").count() == 4
    assert users.get_by_role("rowheader").count() == 25
    assert users.get_by_role("cell").count() == 75


def test_nothing_moves_for_who_wants_no_motion(visit: Visit) -> None:
    for motion, scrolling in (("reduce", "auto"), ("no-preference", "smooth")):
        page = visit(reduced_motion=motion)
        assert page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == scrolling
