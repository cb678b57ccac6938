"""Writes docs/errors.md from the table of remedies: `python -m tests.diagnosis.errors_document`."""

from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path

from entra_users.remedies_app import CONCERNS, ERRORS
from entra_users.remedies_azure import GRAPH, NOT_GRANTED, STORAGE, VAULT
from entra_users.remedies_entra import ENTRA
from entra_users.remedy import Remedy

PATH = Path(__file__).parents[2] / "docs" / "errors.md"

INTRODUCTION = """\
# Errors and what to do

The app names every failure. Over HTTP it is Graph's error object, on the console a line and a paragraph, in
`python -m entra_users check` and `GET /api/check` the link that failed: with the service's own code and request id
where there is one, with what it means, who can put it right, and how. This is the whole table, as the app has it in
code: an error is looked up by its code, and where that is not listed, by its class.

`{names}` stand for facts of the app at hand, which the app fills in:

| name | what it stands for |
|---|---|
| `{tenant}`, `{app}`, `{cloud}` | `GRAPH_TENANT_ID`, `GRAPH_CLIENT_ID`, `GRAPH_CLOUD` |
| `{identity}` | `AZURE_CLIENT_ID`, the client id of the user-assigned managed identity |
| `{portal}` | the Microsoft Entra admin center of the cloud: https://entra.microsoft.com, for instance |
| `{overview_page}` | the app registration's page there: Overview |
| `{credentials_page}` | the same: Certificates & secrets |
| `{permissions_page}` | the same: API permissions |
| `{consent_url}` | for admin consent: https://login.microsoftonline.com/TENANT/adminconsent?client_id=APP |
| `{issuer}` | of the managed identity's tokens: https://login.microsoftonline.com/TENANT/v2.0 |
| `{audience}` | of the federated credential: api://AzureADTokenExchange, or the cloud's own |
| `{graph}` | the cloud's address of Microsoft Graph |
| `{vault}`, `{vault_name}` | `KEY_VAULT_URL`, and the vault's name in it |
| `{kind}`, `{credential}` | `secret` or `certificate`, and its name in the vault |
| `{credential_place}` | both, and the vault |
| `{store}` | `USERS_STORE` |
"""

SECTIONS: tuple[tuple[str, str, Mapping[str, Remedy]], ...] = (
    ("Entra", "Codes with which Entra refuses a token.", ENTRA),
    ("Microsoft Graph", "Codes of Graph's error object.", GRAPH),
    (
        "Microsoft Graph, without an app registration",
        "With `GRAPH_CREDENTIAL=managed-identity`, in place of consent.",
        {"Authorization_RequestDenied": NOT_GRANTED},
    ),
    ("Key Vault", "Codes of Key Vault's error object, the inner one where there is one.", VAULT),
    ("Blob Storage", "Codes of the storage service.", STORAGE),
    ("The check's own", "What the check warns of, and other codes that are the app's.", CONCERNS),
    ("By class", "Every class of the app's errors; `entra_users/errors.py` draws the tree.", ERRORS),
)


def document() -> str:
    """The text of docs/errors.md."""
    return "\n".join([INTRODUCTION, *(line for section in SECTIONS for line in _section(*section))])


def _section(title: str, told: str, table: Mapping[str, Remedy]) -> Iterator[str]:
    yield from (f"## {title}", "", told, "", "| code | meaning | who | what to do |", "|---|---|---|---|")
    for remedy, codes in groupby(table, key=table.__getitem__):
        yield f"| {', '.join(f'`{code}`' for code in codes)} | {remedy.meaning} | {remedy.who} | {remedy.how} |"
    yield ""


if __name__ == "__main__":
    PATH.write_text(document(), encoding="utf-8")
