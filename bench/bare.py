"""What people would write instead: the same calls with the same SDKs, and nothing more.

    python bare.py first       one page of users, printed
    python bare.py discard     every page, its body read and thrown away
    python bare.py json        every page, its JSON parsed and thrown away

Settings are those of the app. Nothing is repeated when it fails and nothing is checked.
"""

import os
import sys
from typing import Any

import msal
import requests
from azure.identity import DefaultAzureCredential
from azure.keyvault.secrets import SecretClient

SELECT = (
    "id,createdDateTime,userPrincipalName,displayName,givenName,surname,mail,jobTitle,department,officeLocation,"
    "mobilePhone,businessPhones,preferredLanguage,accountEnabled,userType"
)
URL = f"https://graph.microsoft.com/v1.0/users?$select={SELECT}&$top=999"
NEXT = b'"@odata.nextLink":"'


def sign_in() -> requests.Session:
    """A session that sends the app's token."""
    credential = DefaultAzureCredential(managed_identity_client_id=os.environ["AZURE_CLIENT_ID"])
    secret = SecretClient(os.environ["KEY_VAULT_URL"], credential).get_secret("graph-client-secret").value
    app = msal.ConfidentialClientApplication(
        os.environ["GRAPH_CLIENT_ID"],
        client_credential=secret,
        authority=f"https://login.microsoftonline.com/{os.environ['GRAPH_TENANT_ID']}",
    )
    answer: Any = app.acquire_token_for_client(["https://graph.microsoft.com/.default"])  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] -- MSAL is untyped
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {answer['access_token']}"
    return session


def discard(session: requests.Session) -> None:
    """Download every page; of its body only the next link is looked at, which comes before the users."""
    url = URL
    while url:
        body = session.get(url, timeout=60).content
        _, found, rest = body[:4096].partition(NEXT)
        url = rest.partition(b'"')[0].decode() if found else ""


def parse(session: requests.Session) -> None:
    """Download and parse every page."""
    url: str | None = URL
    while url:
        url = session.get(url, timeout=60).json().get("@odata.nextLink")


def first(session: requests.Session) -> None:
    """Print the first page."""
    sys.stdout.write(session.get(URL, timeout=60).text)


if __name__ == "__main__":
    {"first": first, "discard": discard, "json": parse}[sys.argv[1]](sign_in())
