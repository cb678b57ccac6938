"""Users as Microsoft's own SDK for Graph reads them, one JSON object a line: `python sdk_client.py list|delta`.

It runs in a virtual environment of its own (`make conformance`), since the SDK takes 250 MB, and shares nothing with
the project but the environment variables that it is given:

- `USERS_URL`: where `/users` is, `https://graph.microsoft.com/v1.0` or the app's `.../api`;
- `USERS_KEY`: the app's function key, or else `AZURE_TENANT_ID`, `AZURE_CLIENT_ID` and `AZURE_CLIENT_SECRET`.

`delta` begins at the delta link on standard input, or at the first page where there is none; its last line is the next
delta link.
"""

# The SDK is installed in that environment only.
# pyright: reportMissingImports=false

import asyncio
import json
import os
import sys
from datetime import UTC, datetime
from typing import Any

from azure.identity import EnvironmentCredential
from kiota_abstractions.authentication import ApiKeyAuthenticationProvider, KeyLocation
from kiota_abstractions.base_request_configuration import RequestConfiguration
from kiota_authentication_azure.azure_identity_authentication_provider import AzureIdentityAuthenticationProvider
from msgraph import GraphRequestAdapter, GraphServiceClient
from msgraph.generated.models.user import User
from msgraph.generated.users.delta.delta_request_builder import DeltaRequestBuilder
from msgraph.generated.users.users_request_builder import UsersRequestBuilder
from msgraph_core.tasks.page_iterator import PageIterator

ATTRIBUTES = {
    "id": "id",
    "createdDateTime": "created_date_time",
    "userPrincipalName": "user_principal_name",
    "displayName": "display_name",
    "givenName": "given_name",
    "surname": "surname",
    "mail": "mail",
    "jobTitle": "job_title",
    "department": "department",
    "officeLocation": "office_location",
    "mobilePhone": "mobile_phone",
    "businessPhones": "business_phones",
    "preferredLanguage": "preferred_language",
    "accountEnabled": "account_enabled",
    "userType": "user_type",
}
"""Graph's properties, and what the SDK calls them."""


async def list_users() -> None:
    """Print every user that `PageIterator` comes by.

    https://learn.microsoft.com/en-us/graph/sdks/paging
    """
    adapter = request_adapter()
    query = UsersRequestBuilder.UsersRequestBuilderGetQueryParameters(select=list(ATTRIBUTES), top=300)
    first = await GraphServiceClient(request_adapter=adapter).users.get(RequestConfiguration(query_parameters=query))
    await PageIterator(first, adapter).iterate(print_user)


async def delta_users(link: str) -> None:
    """Print every change from a delta link on, or every user, and then the next delta link.

    https://learn.microsoft.com/en-us/graph/delta-query-users
    """
    builder = GraphServiceClient(request_adapter=request_adapter()).users.delta
    query = DeltaRequestBuilder.DeltaRequestBuilderGetQueryParameters(select=list(ATTRIBUTES))
    page = await (builder.with_url(link).get() if link else builder.get(RequestConfiguration(query_parameters=query)))
    while True:
        for user in page.value or []:
            print_user(user)
        if not page.odata_next_link:
            print_line(page.odata_delta_link)
            return
        page = await builder.with_url(page.odata_next_link).get()


def request_adapter() -> GraphRequestAdapter:
    """What sends the requests to the address in the environment."""
    key = os.environ.get("USERS_KEY")
    adapter = GraphRequestAdapter(
        ApiKeyAuthenticationProvider(KeyLocation.Header, key, "x-functions-key")
        if key
        else AzureIdentityAuthenticationProvider(EnvironmentCredential())
    )
    # Also for Graph: the SDK's own default ends in a slash, and so asks for /v1.0//users.
    adapter.base_url = os.environ["USERS_URL"]
    return adapter


def print_user(user: User) -> bool:
    """Print one user; True, so that the iterator goes on."""
    record = {name: plain(getattr(user, attribute)) for name, attribute in ATTRIBUTES.items()}
    print_line(record | dict(user.additional_data))
    return True


def print_line(value: Any) -> None:
    """Print a value as a line of JSON."""
    sys.stdout.write(json.dumps(value) + "\n")


def plain(value: Any) -> Any:
    """A value as Graph writes it."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if isinstance(value, datetime) else value


if __name__ == "__main__":
    asyncio.run(list_users() if sys.argv[1] == "list" else delta_users(sys.stdin.read()))
