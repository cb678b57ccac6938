"""The key that the page is opened with: used for what the page asks, and left nowhere."""

import pytest
from playwright.sync_api import Page, expect

from simulator import Simulator
from simulator.functions import FunctionsHost
from tests.page.conftest import MakeContext, Serve, Visit


def asked(page: Page, host: FunctionsHost) -> dict[str, str | None]:
    """The key in the header of every request that the page makes when it is refreshed, by path and query."""
    keys: dict[str, str | None] = {}
    page.on("request", lambda request: keys.update({request.url: request.headers.get("x-functions-key")}))
    page.get_by_role("button", name="Refresh").click()
    expect(page.get_by_role("status")).to_have_text("Everything was read anew.")
    return {url.removeprefix(host.url): key for url, key in keys.items()}


@pytest.mark.parametrize("name", ["code", "Code"])
def test_the_key_goes_from_the_address_into_a_header(
    make_context: MakeContext, host: FunctionsHost, azure: Simulator, name: str
) -> None:
    azure.directory.add(displayName="Adele")
    page = make_context().new_page()
    page.goto(f"{host.url}/api/?{name}={host.keys.default}#users")
    expect(page.get_by_role("button", name="Adele")).to_be_visible()
    assert page.url == f"{host.url}/api/#users"
    found = asked(page, host)
    assert set(found.values()) == {host.keys.default}
    assert sorted(path.partition("?")[0] for path in found) == [
        "/api/check",
        "/api/snapshot",
        "/api/sync",
        "/api/users",
    ]
    assert host.keys.default not in "".join(found)


def test_the_key_is_kept_in_memory_only(visit: Visit, host: FunctionsHost) -> None:
    page = visit()
    expect(page.locator("#users-body")).to_contain_text("There are no users")
    left = page.evaluate(
        "[location.href, document.cookie, document.documentElement.outerHTML, document.referrer,"
        " JSON.stringify({...localStorage, ...sessionStorage}), JSON.stringify(history.state), name].join()"
    )
    assert host.keys.default not in left
    page.go_back()
    assert host.keys.default not in page.url


def test_without_a_key_none_is_sent(serve: Serve, make_context: MakeContext, azure: Simulator) -> None:
    azure.directory.add(displayName="Adele")
    host = serve(CALLER_AUTH="entra")
    # What App Service adds to the requests of who has signed in.
    page = make_context(extra_http_headers={"X-MS-CLIENT-PRINCIPAL-ID": "someone"}).new_page()
    page.goto(f"{host.url}/api")
    expect(page.get_by_role("button", name="Adele")).to_be_visible()
    assert page.url == f"{host.url}/api"
    assert set(asked(page, host).values()) == {None}


def test_a_key_that_is_not_valid_any_more_is_told(visit: Visit, make_context: MakeContext, host: FunctionsHost) -> None:
    page = make_context().new_page()
    # Opened while the key was valid: the document comes, what it asks for does not.
    page.route(
        f"{host.url}/api/?code=old", lambda route: route.continue_(url=f"{host.url}/api/?code={host.keys.default}")
    )
    page.goto(f"{host.url}/api/?code=old")
    users = page.get_by_role("region", name="Users", exact=True)
    expect(users.get_by_role("heading", name="The key is not accepted")).to_be_visible()
    expect(users).to_contain_text("Open this page anew with a function key that is valid: /api/?code=KEY")
