"""The check on the page: the chain in its order, what holds and what does not, and what to do."""

from playwright.sync_api import Locator, Page, expect

from entra_users.diagnosis import NAMES
from simulator import Simulator
from simulator.faults import token_error
from tests.page.conftest import Serve, Visit


def check(page: Page) -> Locator:
    return page.get_by_role("region", name="Check")


def links(page: Page) -> dict[str, str]:
    expect(check(page).get_by_role("listitem")).to_have_count(len(NAMES))
    items = check(page).get_by_role("listitem").all()
    return {item.get_by_role("heading").inner_text(): item.locator(".badge").inner_text() for item in items}


def test_every_link_is_shown_in_order_and_what_is_wrong_with_what_to_do(visit: Visit, azure: Simulator) -> None:
    azure.directory.add()
    page = visit()
    names = [name[0].upper() + name[1:] for name in NAMES]
    # There is no snapshot yet.
    assert links(page) == dict.fromkeys(names, "OK") | {"Snapshot": "Warning"}
    assert page.locator("#tile-check").inner_text() == "Warning"
    assert page.locator("#tile-check-note").inner_text() == "snapshot"
    expect(check(page)).to_contain_text("Signs in by secret; checked ")
    expect(check(page).get_by_role("listitem").last).to_contain_text("To do (")


def test_what_was_seen_of_links_that_hold_is_shown_when_asked_for(visit: Visit, azure: Simulator) -> None:
    azure.directory.add()
    page = visit()
    button = check(page).get_by_role("button", name="What was seen")
    expect(button).to_have_attribute("aria-expanded", "false")
    expect(check(page).get_by_text("User.Read.All · ")).to_be_hidden()
    button.click()
    expect(button).to_have_attribute("aria-expanded", "true")
    expect(check(page).get_by_text("User.Read.All · ")).to_be_visible()


def test_a_link_that_failed_is_shown_with_its_remedy_and_what_it_kept_from_being_reached(
    visit: Visit, serve: Serve, azure: Simulator
) -> None:
    azure.faults.plan(token_error(7000222, times=None))
    page = visit(serve())
    shown = links(page)
    assert [shown[name] for name in ("Settings", "Key Vault", "Token", "Permissions", "Users")] == [
        "OK",
        "OK",
        "Failed",
        "Not reached",
        "Not reached",
    ]
    assert page.locator("#tile-check").inner_text() == "Failed"
    token = check(page).get_by_role("listitem").filter(has=page.get_by_role("heading", name="Token"))
    expect(token).to_contain_text("AADSTS7000222")
    expect(token).to_contain_text("The client secret has expired.")
    expect(token).to_contain_text("To do (owner of the app registration): ")


def test_a_missing_consent_fails_the_check(visit: Visit, azure: Simulator) -> None:
    azure.directory.add()
    azure.entra.application.graph_roles.clear()
    page = visit()
    assert links(page)["Permissions"] == "Failed"
    permissions = check(page).get_by_role("listitem").filter(has=page.get_by_role("heading", name="Permissions"))
    addresses = [link.get_attribute("href") for link in permissions.get_by_role("link").all()]
    assert f"client_id={azure.entra.application.client_id}" in " ".join(map(str, addresses))
