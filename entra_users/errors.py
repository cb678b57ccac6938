"""Everything that can go wrong, grouped by what the caller can do about it.

    EntraUsersError
    ├── SettingsError              correct a setting or an argument; `faults` lists every one
    ├── CredentialError            the app cannot prove who it is: correct the credential or a right on it
    │   ├── IdentityError          the managed identity gave no token
    │   ├── VaultError             Key Vault did not give the secret or certificate
    │   └── TokenError             Entra did not give a token
    ├── RequestError               Graph refused the request: correct it, or grant what it needs
    │   ├── BadQuery               a query option is wrong (400, 501)
    │   ├── AccessDenied           the app lacks a permission or its admin consent (401, 403)
    │   └── NotFound               there is no such user (404)
    ├── RestartRequired            start this read again from its first page
    │   ├── PageTokenExpired       a page token is no longer valid
    │   └── ResyncRequired         a delta link is no longer valid
    ├── Unavailable                wait, then try again
    │   ├── Throttled              still throttled when the time budget ran out (429)
    │   └── TimedOut               no answer within the time budget
    ├── Incomplete                 what came back is not the whole; nothing of it may be used
    │   ├── MalformedPage          not a page of users, or cut short
    │   ├── BrokenPaging           a next link repeats, or leads to another host
    │   └── IncompleteDirectory    fewer or more users than Graph counts
    ├── SyncError                  a run ended without publishing
    │   ├── RunInProgress          another run is active, or published first
    │   ├── ShrinkRefused          the directory would shrink by more than is allowed without force
    │   └── RunFailed              a part of the run failed for good
    └── StoreError                 the store did not do what was asked
        ├── ObjectNotFound         no such object
        ├── ObjectChanged          a conditional write met another's write (409, 412)
        ├── StoreDenied            no right to read or write there
        ├── StoreFull              no space left
        ├── StoreUnavailable       not reachable, or still failing after retries
        └── CorruptObject          stored bytes are not what their manifest or receipt says

A message says what was tried, what came back, and what to do. It never holds a secret, a token, a key or a
continuation, so that it may be logged and shown.
"""

from collections.abc import Sequence


class EntraUsersError(Exception):
    """The root: catching it catches every error this package raises on purpose.

    Attributes:
        status: HTTP status of the answer that caused it, where there was one.
        code: the service's own error code (`Authorization_RequestDenied`, `AADSTS7000215`, ...).
        request_id: the service's id of the failed request, for support.
        retry_after: seconds the service asked to wait.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.request_id = request_id
        self.retry_after = retry_after

    def __str__(self) -> str:
        facts = {"status": self.status, "code": self.code, "request-id": self.request_id}
        told = ", ".join(f"{name} {value}" for name, value in facts.items() if value is not None)
        return f"{self.args[0]} ({told})" if told else str(self.args[0])


class SettingsError(EntraUsersError):
    """Settings or arguments are missing or malformed; `faults` holds one sentence for each."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


class CredentialError(EntraUsersError):
    """The app cannot prove who it is."""


class IdentityError(CredentialError):
    """The managed identity gave no token."""


class VaultError(CredentialError):
    """Key Vault did not give the secret or certificate."""


class TokenError(CredentialError):
    """Entra did not give a token."""


class RequestError(EntraUsersError):
    """Graph refused the request."""


class BadQuery(RequestError):
    """A query option is wrong."""


class AccessDenied(RequestError):
    """The app lacks a permission or its admin consent."""


class NotFound(RequestError):
    """There is no such user."""


class RestartRequired(EntraUsersError):
    """This read must start again from its first page."""


class PageTokenExpired(RestartRequired):
    """A page token is no longer valid."""


class ResyncRequired(RestartRequired):
    """A delta link is no longer valid."""


class Unavailable(EntraUsersError):
    """The service did not answer properly within the time budget."""


class Throttled(Unavailable):
    """Still throttled when the time budget ran out."""


class TimedOut(Unavailable):
    """No answer within the time budget."""


class Incomplete(EntraUsersError):
    """What came back is not the whole."""


class MalformedPage(Incomplete):
    """Not a page of users, or cut short."""


class BrokenPaging(Incomplete):
    """A next link repeats, or leads to another host."""


class IncompleteDirectory(Incomplete):
    """Fewer or more users were read than Graph counts."""


class SyncError(EntraUsersError):
    """A run ended without publishing."""


class RunInProgress(SyncError):
    """Another run is active, or published first; `run` names it where it is known."""

    def __init__(self, message: str, *, run: str | None = None) -> None:
        super().__init__(message)
        self.run = run


class ShrinkRefused(SyncError):
    """The directory would shrink by more than is allowed without force: to so many `users`, by `removed`."""

    def __init__(self, message: str, *, users: int = 0, removed: int = 0) -> None:
        super().__init__(message)
        self.users = users
        self.removed = removed


class RunFailed(SyncError):
    """A part of the run failed for good."""


class StoreError(EntraUsersError):
    """The store did not do what was asked."""


class ObjectNotFound(StoreError):
    """No such object."""


class ObjectChanged(StoreError):
    """A conditional write met another's write."""


class StoreDenied(StoreError):
    """No right to read or write there."""


class StoreFull(StoreError):
    """No space left."""


class StoreUnavailable(StoreError):
    """The store is not reachable, or still failing after retries."""


class CorruptObject(StoreError):
    """Stored bytes are not what their manifest or receipt says."""
