"""From an error to its remedy: complete, and the same in code and in docs/errors.md."""

import re
from string import Formatter

import pytest

from entra_users import errors, remedies
from entra_users.errors import AccessDenied, BadQuery, EntraUsersError, StoreDenied, TokenError, Unavailable, VaultError
from entra_users.remedies_app import CONCERNS, ERRORS
from entra_users.remedies_azure import GRAPH, NOT_GRANTED, STORAGE, VAULT
from entra_users.remedies_entra import ENTRA
from entra_users.settings import Settings
from simulator.aadsts import MESSAGES
from tests.diagnosis.errors_document import INTRODUCTION, PATH, SECTIONS, document

APP = "91709ab4-4081-4c75-802d-b6e4d0dba8e6"
TENANT = "c67dae15-9480-474c-8e2a-ef36d6c8cb2b"
IDENTITY = "698cd753-d263-4c87-9927-fdc1d0d32873"
SETTINGS = Settings(
    graph_tenant_id=TENANT,
    graph_client_id=APP,
    key_vault_url="https://contoso.vault.azure.net",
    azure_client_id=IDENTITY,
)
WITHOUT_REGISTRATION = Settings(graph_credential="managed-identity", azure_client_id=IDENTITY)
ADMIN = "Privileged Role Administrator or Global Administrator"
ALL = [remedy for _, _, table in SECTIONS for remedy in table.values()]


def test_the_document_is_the_table() -> None:
    """After a change: `python -m tests.diagnosis.errors_document`."""
    assert PATH.read_text(encoding="utf-8") == document()


def test_every_class_of_errors_has_a_remedy_of_its_own() -> None:
    classes = {
        name for name, value in vars(errors).items() if isinstance(value, type) and value.__module__ == errors.__name__
    }
    assert classes == ERRORS.keys()


def test_every_code_with_which_the_simulated_entra_refuses_has_a_remedy() -> None:
    assert {f"AADSTS{code}" for code in MESSAGES} <= ENTRA.keys()


def test_no_code_is_in_two_tables_and_none_of_the_checks_own_is_a_class() -> None:
    assert len(remedies.REMEDIES) == sum(map(len, [ENTRA, GRAPH, VAULT, STORAGE, CONCERNS]))
    assert CONCERNS.keys() & ERRORS.keys() == set()


@pytest.mark.parametrize("settings", [SETTINGS, WITHOUT_REGISTRATION], ids=["registration", "managed identity"])
def test_every_remedy_can_be_told_of_every_app(settings: Settings) -> None:
    told = [remedy.how.format_map(remedies.facts(settings)) for remedy in ALL]
    told += [remedy.how.format_map(remedies.parameters_facts(f"https://login.example/{TENANT}", APP)) for remedy in ALL]
    assert [text for text in told if re.search(r"[{}]", text)] == []


def test_every_name_in_a_remedy_is_explained_in_the_document() -> None:
    used = {name for remedy in ALL for _, name, _, _ in Formatter().parse(remedy.how) if name}
    assert used == {*re.findall(r"\{(\w+)\}", INTRODUCTION)} - {"names"}
    assert used == remedies.facts(SETTINGS).keys()


def test_a_remedy_names_the_pages_and_addresses_of_the_app_at_hand() -> None:
    told = remedies.advice(AccessDenied("No.", code="Authorization_RequestDenied"), remedies.facts(SETTINGS))
    assert told == (
        f"The app has a token, but no permission to read users: admin consent is missing. To do ({ADMIN}): Add the"
        " application permission User.Read.All at"
        f" https://entra.microsoft.com/#view/Microsoft_AAD_RegisteredApps/ApplicationMenuBlade/~/CallAnAPI/appId/{APP}"
        f" and grant admin consent at https://login.microsoftonline.com/{TENANT}/adminconsent?client_id={APP} ; it is"
        " in the next token, which the app acquires within a minute of being refused."
    )


@pytest.mark.parametrize(
    ("cloud", "portal", "login"),
    [
        ("usgov", "https://entra.microsoft.us", "https://login.microsoftonline.us"),
        ("usgov-dod", "https://entra.microsoft.us", "https://login.microsoftonline.us"),
        ("china", "https://entra.microsoftonline.cn", "https://login.partner.microsoftonline.cn"),
    ],
)
def test_pages_and_addresses_are_those_of_the_cloud(cloud: str, portal: str, login: str) -> None:
    known = remedies.facts(Settings(graph_cloud=cloud, graph_tenant_id=TENANT, graph_client_id=APP))
    assert known["permissions_page"].startswith(f"{portal}/#view/")
    assert known["consent_url"] == f"{login}/{TENANT}/adminconsent?client_id={APP}"
    quickstart = remedies.parameters_facts(f"{login}/{TENANT}", APP)
    assert (quickstart["portal"], quickstart["consent_url"]) == (portal, known["consent_url"])


@pytest.mark.parametrize("code", ["Authorization_RequestDenied", "Authentication_MSGraphPermissionMissing", None])
def test_a_managed_identity_is_granted_and_not_consented(code: str | None) -> None:
    remedy = remedies.remedy_for(AccessDenied("No.", code=code), remedies.facts(WITHOUT_REGISTRATION))
    assert remedy == NOT_GRANTED._replace(how=NOT_GRANTED.how.format(identity=IDENTITY))


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (TokenError("No.", code="AADSTS7000222"), "The client secret has expired."),
        (TokenError("No.", code="AADSTS4711"), "Entra did not give a token."),
        (Unavailable("No.", code="Throttled"), "The vault throttles its callers."),
        (StoreDenied("No.", code="EACCES"), "There is no right to read or write in the store."),
        (VaultError("No.", code="Forbidden"), "The vault refuses the identity."),
        (AccessDenied("No.", code="Forbidden"), "The app lacks a permission or its admin consent."),
        (EntraUsersError("No."), "Something failed."),
        (type("Newer", (StoreDenied,), {})("No."), "There is no right to read or write in the store."),
    ],
)
def test_a_remedy_is_found_by_the_code_and_else_by_the_nearest_class(error: EntraUsersError, meaning: str) -> None:
    assert remedies.remedy_for(error, remedies.facts(SETTINGS)).meaning == meaning


def test_an_error_of_the_callers_own_making_says_it_all_itself() -> None:
    known = remedies.facts(SETTINGS)
    assert remedies.advice(BadQuery("format must be one of json, ndjson, csv."), known) == ""
    assert remedies.advice(BadQuery("No.", code="Request_UnsupportedQuery"), known).startswith(
        "Graph supports this query"
    )


def test_a_name_that_is_not_known_here_is_told_as_any_error() -> None:
    assert remedies.remedy_named("OfANewerVersion", {"app": APP}).meaning == "Something failed."
