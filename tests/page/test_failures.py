"""What went wrong is shown in Graph's words, with what to do, where it happened; and is over when it is over."""

# ruff: noqa: RUF001 -- ranges and what is missing are written with a dash
import pytest
from playwright.sync_api import Locator, Page, Route, expect

from simulator import Simulator
from simulator.faults import page_fault, server_error, throttled, token_error
from tests.page.conftest import Serve, Visit


def users(page: Page) -> Locator:
    return page.get_by_role("region", name="Users", exact=True)


def retry(page: Page) -> None:
    users(page).get_by_role("button", name="Try again").click()


def test_a_missing_consent_is_shown_with_the_address_to_grant_it(visit: Visit, serve: Serve, azure: Simulator) -> None:
    azure.directory.add(displayName="Adele")
    roles = {*azure.entra.application.graph_roles}
    azure.entra.application.graph_roles.clear()
    page = visit(serve())
    expect(users(page).get_by_role("heading", name="The app may not do this")).to_be_visible()
    expect(users(page)).to_contain_text("Insufficient privileges to complete the operation.")
    expect(users(page)).to_contain_text("Authorization_RequestDenied · request-id ")
    link = users(page).get_by_role("link").last
    tenant, app = azure.entra.tenants[0].id, azure.entra.application.client_id
    consent = f"https://login.microsoftonline.com/{tenant}/adminconsent?client_id={app}"
    told = [link.get_attribute(name) for name in ("href", "title", "rel")]
    assert (link.inner_text(), *told) == ("login.microsoftonline.com/…", consent, consent, "noopener noreferrer")
    to_do = users(page).get_by_role("paragraph").filter(has=page.get_by_role("strong"))
    expect(to_do).to_contain_text("To do (Privileged Role Administrator or Global Administrator): Add the application")
    expect(page.get_by_role("status")).to_contain_text("The app may not do this. GET /v1.0/users was answered")

    azure.entra.application.graph_roles |= roles
    azure.entra.revoke_tokens()
    retry(page)
    expect(page.get_by_role("button", name="Adele")).to_be_visible()
    expect(page.get_by_role("heading", name="Users", exact=True, level=2)).to_be_focused()


def test_throttling_is_shown_with_the_time_to_wait(visit: Visit, serve: Serve, azure: Simulator) -> None:
    azure.directory.add(displayName="Adele")
    azure.faults.plan(throttled("200", path="/users$", times=None))
    page = visit(serve())
    expect(users(page).get_by_role("heading", name="Microsoft Graph asks to wait")).to_be_visible()
    expect(users(page)).to_contain_text("Wait 200 seconds before you try again.")
    expect(users(page)).to_contain_text("TooManyRequests")


def test_a_credential_that_expired_is_shown_with_who_puts_it_right(
    visit: Visit, serve: Serve, azure: Simulator
) -> None:
    azure.faults.plan(token_error(7000222, times=None))
    page = visit(serve())
    expect(users(page)).to_contain_text("The client secret has expired.")
    expect(users(page)).to_contain_text("AADSTS7000222")


@pytest.mark.parametrize(
    ("status", "heading"), [(503, "A service is not available"), (504, "There was no answer in time")]
)
def test_an_outage_of_graph_is_shown(visit: Visit, azure: Simulator, status: int, heading: str) -> None:
    azure.directory.add(displayName="Adele")
    azure.faults.plan(server_error(status, "200", path="/users$", times=None))
    page = visit()
    expect(users(page).get_by_role("heading", name=heading)).to_be_visible()
    azure.faults.clear()
    retry(page)
    expect(page.get_by_role("button", name="Adele")).to_be_visible()


def test_an_answer_that_is_not_whole_is_not_shown(visit: Visit, azure: Simulator) -> None:
    azure.directory.add(displayName="Adele")
    azure.faults.plan(page_fault("no-value", times=None))
    page = visit()
    expect(users(page).get_by_role("heading", name="The answer was not whole")).to_be_visible()
    expect(page.get_by_role("button", name="Adele")).to_have_count(0)


def test_a_list_that_expired_begins_again(visit: Visit, azure: Simulator) -> None:
    for number in range(30):
        azure.directory.add(displayName=f"User {number:03}")
    page = visit()
    expect(page.locator("#users-range")).to_have_text("Users 1–25")
    azure.faults.plan(page_fault("expired-page-token"))
    page.get_by_role("button", name="Next").click()
    expect(users(page).get_by_role("heading", name="This list has expired")).to_be_visible()
    users(page).get_by_role("button", name="Begin again").click()
    expect(page.locator("#users-range")).to_have_text("Users 1–25")


def test_an_app_that_cannot_be_reached_is_told_from_one_that_fails(visit: Visit, azure: Simulator) -> None:
    azure.directory.add(displayName="Adele")
    page = visit()
    expect(page.get_by_role("button", name="Adele")).to_be_visible()
    page.context.set_offline(True)
    page.get_by_role("searchbox").fill("adele")
    page.keyboard.press("Enter")
    expect(users(page).get_by_role("heading", name="The app cannot be reached")).to_be_visible()
    page.context.set_offline(False)
    retry(page)
    expect(page.locator("#users-range")).to_have_text("Users 1–1 of 1")


def test_a_failure_in_one_place_leaves_the_others_alone(visit: Visit, azure: Simulator) -> None:
    azure.faults.plan(page_fault("no-value", times=None))
    page = visit()
    expect(users(page).get_by_role("button", name="Try again")).to_be_visible()
    expect(page.get_by_role("region", name="Changes")).to_contain_text("Nothing is stored yet")


def test_what_comes_later_ends_what_is_under_way(visit: Visit, azure: Simulator) -> None:
    azure.directory.add(displayName="Adele")
    azure.directory.add(displayName="Zoë")
    page = visit()
    expect(page.locator("#users-range")).to_have_text("Users 1–2")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/api/users?*zo*", hold)
    for text in ("zo", "adele"):
        page.get_by_role("searchbox").fill(text)
        page.keyboard.press("Enter")
    expect(page.locator("#users-range")).to_have_text("Users 1–1 of 1")
    expect(page.locator("#users tbody th button")).to_have_text(["Adele"])
    assert len(held) == 1
