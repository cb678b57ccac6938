"""Users on the page: browsing, searching, and one user's properties."""

# ruff: noqa: RUF001 -- ranges and what is missing are written with a dash
from urllib.parse import parse_qsl

from playwright.sync_api import Locator, Page, expect

from simulator import Simulator
from simulator.faults import page_fault
from tests.page.conftest import PROPERTIES, Serve, Visit

MARKUP = '<img src=x onerror="document.title=1"><script>document.title=2</script>'


def names(page: Page) -> Locator:
    return page.locator("#users tbody th button")


def range_of(page: Page) -> Locator:
    return page.locator("#users-range")


def search(page: Page, text: str) -> None:
    page.get_by_role("searchbox", name="Find a user").fill(text)
    page.get_by_role("button", name="Search").click()


def add_users(azure: Simulator, count: int) -> list[str]:
    return [azure.directory.add(displayName=f"User {number:03}")["displayName"] for number in range(count)]


def test_users_are_shown_by_name_with_what_the_app_discloses(visit: Visit, azure: Simulator) -> None:
    azure.directory.add(
        displayName="Zoë", mail="zoe@contoso.com", jobTitle="Engineer", department="Hidden", accountEnabled=False
    )
    azure.directory.add(displayName="Adele", mail=None, userPrincipalName="adele@contoso.onmicrosoft.com")
    page = visit()
    expect(page.get_by_role("table", name="Users").get_by_role("row")).to_have_count(3)
    rows = [row.inner_text().split() for row in page.get_by_role("table", name="Users").get_by_role("row").all()]
    created = page.locator("#users time").all_inner_texts()
    assert rows == [
        ["Name", "Job", "title", "Account", "Created"],
        ["Adele", "adele@contoso.onmicrosoft.com", "–", "Enabled", *created[0].split()],
        ["Zoë", "zoe@contoso.com", "Engineer", "Disabled", *created[1].split()],
    ]


def test_next_and_previous_lead_through_every_user_once(visit: Visit, azure: Simulator) -> None:
    everyone = add_users(azure, 60)
    page = visit()
    pages = page.get_by_role("navigation", name="Pages of users")
    seen: list[list[str]] = []
    for text in ("Users 1–25", "Users 26–50", "Users 51–60"):
        if seen:
            pages.get_by_role("button", name="Next").click()
        expect(range_of(page)).to_have_text(text)
        seen.append(names(page).all_inner_texts())
    assert [name for each in seen for name in each] == everyone
    expect(pages.get_by_role("button", name="Next")).to_have_attribute("aria-disabled", "true")
    for text, shown in (("Users 26–50", seen[1]), ("Users 1–25", seen[0])):
        pages.get_by_role("button", name="Previous").click()
        expect(range_of(page)).to_have_text(text)
        assert names(page).all_inner_texts() == shown
    expect(pages.get_by_role("button", name="Previous")).to_have_attribute("aria-disabled", "true")


def test_a_search_finds_by_any_name_or_address_and_counts(visit: Visit, azure: Simulator) -> None:
    add_users(azure, 30)
    azure.directory.add(displayName="Adele Vance", mail="a.vance@contoso.com")
    azure.directory.add(displayName="Lidia Holloway", mail="adelaide@contoso.com")
    page = visit()
    search(page, "adel")
    expect(range_of(page)).to_have_text("Users 1–2 of 2")
    assert sorted(names(page).all_inner_texts()) == ["Adele Vance", "Lidia Holloway"]
    search(page, "vance ad")
    expect(range_of(page)).to_have_text("Users 1–1 of 1")
    search(page, "user")
    expect(range_of(page)).to_have_text("Users 1–25 of 30")
    page.get_by_role("button", name="Next").click()
    expect(range_of(page)).to_have_text("Users 26–30 of 30")
    page.get_by_role("button", name="Show all").click()
    expect(range_of(page)).to_have_text("Users 1–25")
    expect(page.get_by_role("searchbox")).to_be_focused()
    expect(page.get_by_role("searchbox")).to_have_value("")


def test_a_search_for_what_would_end_it_finds_what_it_says(visit: Visit, azure: Simulator) -> None:
    azure.directory.add(displayName="D'Arcy & Sons, 100 % #1")
    azure.directory.add(displayName="Adele Vance")
    page = visit()
    for text in ("d'arcy", 'd"arcy', "sons & d'arcy", "#1 100 %", "d\\arcy"):
        search(page, text)
        expect(range_of(page)).to_have_text("Users 1–1 of 1")
        assert names(page).all_inner_texts() == ["D'Arcy & Sons, 100 % #1"]


def test_a_tenant_without_advanced_queries_is_searched_by_filters(visit: Visit, azure: Simulator) -> None:
    azure.directory.b2c = True
    add_users(azure, 30)
    azure.directory.add(displayName="O'Brien, Adele")
    page = visit()
    search(page, "o'b")
    expect(range_of(page)).to_have_text("Users 1–1")
    assert names(page).all_inner_texts() == ["O'Brien, Adele"]
    search(page, "user")
    page.get_by_role("button", name="Next").click()
    expect(range_of(page)).to_have_text("Users 26–30")


def test_where_nobody_is_found_the_page_says_so(visit: Visit, azure: Simulator) -> None:
    page = visit()
    expect(page.get_by_role("heading", name="There are no users")).to_be_visible()
    add_users(azure, 1)
    search(page, f"x {MARKUP}")
    expect(page.get_by_role("heading", name="No user was found")).to_be_visible()
    expect(page.get_by_role("status")).to_have_text("No user was found.")
    expect(page.locator("#users-body")).to_contain_text("<script>")


def test_a_page_without_users_is_not_taken_for_the_last(visit: Visit, azure: Simulator) -> None:
    everyone = add_users(azure, 3)
    page = visit()
    expect(page.get_by_role("button", name="What was seen")).to_be_visible()
    azure.faults.plan(page_fault("empty-page"))
    search(page, "")
    expect(names(page)).to_have_text(everyone)
    assert [each.path for each in azure.requests][-2:] == ["/v1.0/users"] * 2


def test_what_users_are_called_never_becomes_markup(visit: Visit, azure: Simulator) -> None:
    azure.directory.add(displayName=MARKUP, jobTitle=MARKUP, mail="<b>@contoso.com")
    page = visit()
    expect(names(page)).to_have_text([MARKUP])
    expect(page.locator("#users tbody td").first).to_have_text(MARKUP)
    names(page).click()
    expect(page.get_by_role("dialog").get_by_role("heading")).to_have_text(MARKUP)
    assert page.get_by_role("definition").all_inner_texts().count(MARKUP) == 2
    assert page.locator("img, b, main script, dialog script").count() == 0
    assert page.title() == "Entra users"


def test_a_user_is_shown_with_every_disclosed_property_and_no_other(visit: Visit, azure: Simulator) -> None:
    user = azure.directory.add(
        displayName="Adele",
        mail=None,
        userPrincipalName="adele@contoso.onmicrosoft.com",
        jobTitle="Engineer",
        department="Hidden",
        accountEnabled=True,
        createdDateTime="2026-03-01T08:30:00Z",
    )
    page = visit()
    page.get_by_role("button", name="Adele").click()
    person = page.get_by_role("dialog", name="Adele")
    expect(person).to_be_visible()
    shown = dict(
        zip(person.locator("dt").all_inner_texts(), person.get_by_role("definition").all_inner_texts(), strict=True)
    )
    assert shown == {
        "Id": user["id"],
        "Created": "1 Mar 2026, 08:30",
        "Display name": "Adele",
        "User principal name": "adele@contoso.onmicrosoft.com",
        "Mail": "–",
        "Job title": "Engineer",
        "Account": "Enabled",
    }
    page.get_by_role("button", name="Close").click()
    expect(person).to_be_hidden()


def test_values_of_every_kind_are_shown(visit: Visit, serve: Serve, azure: Simulator) -> None:
    azure.directory.add(
        displayName="Adele",
        businessPhones=["+1 425 555 0100", "+1 425 555 0101"],
        onPremisesSyncEnabled=True,
        assignedLicenses=[{"skuId": "1", "disabledPlans": []}],
        onPremisesExtensionAttributes={"extensionAttribute1": "a"},
        employeeHireDate="not a date",
    )
    host = serve(
        USERS_SELECT="displayName,businessPhones,onPremisesSyncEnabled,assignedLicenses,onPremisesExtensionAttributes"
    )
    page = visit(host)
    page.get_by_role("button", name="Adele").click()
    values = page.get_by_role("definition").all_inner_texts()
    assert "+1 425 555 0100\n+1 425 555 0101" in values
    assert "Yes" in values
    assert any('"skuId":"1"' in value for value in values)
    assert any('"extensionAttribute1":"a"' in value for value in values)


def test_where_no_name_is_disclosed_users_go_by_id_and_there_is_no_search(
    visit: Visit, serve: Serve, azure: Simulator
) -> None:
    user = azure.directory.add(displayName="Adele")
    page = visit(serve(USERS_SELECT="id,createdDateTime,department"))
    expect(names(page)).to_have_text([user["id"]])
    expect(page.get_by_role("search")).to_be_hidden()
    assert "Adele" not in page.locator("body").inner_text()


def test_only_disclosed_properties_are_asked_of_graph(visit: Visit, azure: Simulator) -> None:
    add_users(azure, 1)
    page = visit()
    search(page, "user")
    expect(range_of(page)).to_have_text("Users 1–1 of 1")
    asked = [dict(parse_qsl(each.query)) for each in azure.requests if each.path == "/v1.0/users"]
    assert {name for query in asked for name in query["$select"].split(",")} == {*PROPERTIES.split(",")}
