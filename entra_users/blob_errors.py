"""What Blob Storage's answers mean: the SDK's errors told as ours."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from azure.core.credentials import AccessToken
from azure.core.exceptions import AzureError, HttpResponseError

from entra_users.errors import ObjectChanged, ObjectNotFound, StoreDenied, StoreError, StoreFull, StoreUnavailable
from entra_users.identity import first_line, identity_token

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

# By an answer's code, and failing that by its status.
# https://learn.microsoft.com/en-us/rest/api/storageservices/blob-service-error-codes
# https://learn.microsoft.com/en-us/rest/api/storageservices/common-rest-api-error-codes
_KINDS: dict[str | int | None, type[StoreError]] = {
    "BlobNotFound": ObjectNotFound,
    "BlobAlreadyExists": ObjectChanged,
    "ConditionNotMet": ObjectChanged,
    "InvalidBlockList": ObjectChanged,  # another writer's commit discarded the blocks that waited for ours
    **dict.fromkeys(("LeaseIdMissing", "BlobImmutableDueToPolicy", "BlobImmutableDueToLegalHold"), StoreDenied),
    401: StoreDenied,
    403: StoreDenied,
    507: StoreFull,
    **dict.fromkeys((408, 429), StoreUnavailable),
}
_REMEDIES: dict[type[StoreError], str] = {
    ObjectNotFound: "",
    ObjectChanged: "Another wrote it; it was left as it is.",
    StoreDenied: (
        "Give the app's identity the role Storage Blob Data Contributor on the storage account, let the account's"
        " firewall admit it, and see that no lease, legal hold or immutability policy keeps the object."
    ),
    StoreFull: "Raise the account's quota, or keep fewer snapshots (SNAPSHOT_KEEP).",
    StoreUnavailable: "Try again; if it stays, check USERS_STORE, the network to it, and the account's own state.",
    StoreError: "See that the container in USERS_STORE exists, since it is not made here.",
}


@contextmanager
def named(action: str, client: Any) -> Generator[None]:
    """Tell the SDK's errors as ours."""
    try:
        yield
    except AzureError as error:
        status = code = request_id = None
        if isinstance(error, HttpResponseError):
            status = error.status_code
            code = getattr(error, "error_code", None)  # set by the SDK once it has read the answer
            code = getattr(code, "value", code)
            request_id = getattr(error.response, "headers", {}).get("x-ms-request-id")
        refused = StoreError if status and 400 <= status < 500 else StoreUnavailable
        kind = _KINDS.get(code) or _KINDS.get(status) or refused
        if kind is ObjectNotFound and action == "write":
            kind = ObjectChanged  # what the condition was about is gone
        message = f"Could not {action} {client.url}: {first_line(error)} {_REMEDIES[kind]}"
        raise kind(message.rstrip(), status=status, code=code, request_id=request_id) from error


class Identity:
    """A credential whose failures are ours, and so are not repeated as if they were the storage's."""

    def __init__(self, credential: "TokenCredential") -> None:
        self._credential = credential

    def get_token(self, *scopes: str, **_options: object) -> AccessToken:
        """A token for the first scope."""
        token = identity_token(self._credential, scopes[0])
        return AccessToken(token.value, int(token.expires_on))
