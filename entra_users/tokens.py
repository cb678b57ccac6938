"""Access tokens: acquired once per lifetime for all threads, by MSAL or from the managed identity.

The only module that knows MSAL. https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-client-creds-grant-flow
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from urllib.parse import urlsplit

import requests

from entra_users.errors import EntraUsersError, TokenError, Unavailable
from entra_users.identity import AccessToken, identity_token

logger = logging.getLogger(__name__)

STALE_CREDENTIAL = frozenset({7000215, 7000222, 700027})
"""AADSTS codes of a secret or certificate that does not work (any more): the vault may hold a newer one."""

TRANSIENT = frozenset({50033, 90006, 90012, 90024, 90033, 90055, 90090})
"""AADSTS codes that pass: https://learn.microsoft.com/en-us/entra/identity-platform/reference-error-codes"""

_RENEW_BEFORE = 300.0
_TIMEOUT = (5.0, 30.0)


class TokenSource(Protocol):
    """Where tokens come from."""

    def acquire(self) -> AccessToken:
        """A token from the service itself, never from a cache."""
        ...


class Tokens:
    """The bearer token of one resource, acquired once per lifetime however many threads ask."""

    def __init__(self, source: TokenSource, *, clock: Callable[[], float] = time.time) -> None:
        self._source = source
        self._clock = clock
        self._lock = threading.Lock()
        self._token: AccessToken | None = None

    def get(self) -> str:
        """A token that is still valid; acquired by the first thread that asks, for which the others wait.

        It is renewed five minutes before it expires; a renewal that fails for the moment leaves the old one in use.

        Raises:
            CredentialError: no token can be had.
            Unavailable: Entra did not answer properly; another try may succeed.
        """
        with self._lock:
            if self._token is None or self._clock() > self._token.expires_on - _RENEW_BEFORE:
                try:
                    self._token = self._source.acquire()
                except Unavailable:
                    if self._token is None or self._clock() > self._token.expires_on:
                        raise
            return self._token.value

    def reject(self, value: str) -> None:
        """Forget a token that a service refused, unless another thread has replaced it already."""
        with self._lock:
            if self._token is not None and self._token.value == value:
                self._token = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCredential:
    """What an app registration proves itself with, in the form that MSAL takes; its repr does not hold it."""

    value: str | Mapping[str, Any] = field(repr=False)
    name: str
    """What it is, for messages: `secret 'graph-client-secret'`."""
    expires_on: datetime | None = None


class AppRegistration:
    """An app registration that acquires tokens with client credentials.

    Args:
        client_id: the app's.
        authority: `https://login.../TENANT`, or `oidc_authority` for External ID with a custom domain.
        scopes: of the token, such as `https://graph.microsoft.com/.default`.
        credential: gives the current credential; called again when Entra says that it is stale.
        warn_days: warn when the credential expires within so many days.
    """

    def __init__(
        self,
        *,
        client_id: str,
        scopes: Sequence[str],
        credential: Callable[[], ClientCredential],
        authority: str | None = None,
        oidc_authority: str | None = None,
        warn_days: int = 30,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._client_id = client_id
        self._scopes = list(scopes)
        self._credential = credential
        self._authority = authority
        self._oidc_authority = oidc_authority
        self._warn_days = warn_days
        self._now = now
        self._credential_name = ""
        self._app: Any = None

    def acquire(self) -> AccessToken:
        """A new token; if Entra says that the credential is stale, it is read again once and tried once more.

        Raises:
            CredentialError: Entra or the vault refused.
            Unavailable: they did not answer properly; another try may succeed.
        """
        app = self._app or self._open()
        # An app that was refused or not answered is not kept: what stood in the way may be put right while this process
        # lives, and MSAL would replay the answer for a minute without asking again.
        self._app = None
        result = self._ask(app)
        if STALE_CREDENTIAL.intersection(result.get("error_codes", ())):
            logger.warning("Entra refused the %s; reading it again.", self._credential_name)
            app = self._open()
            result = self._ask(app)
        if "access_token" not in result:
            raise self._refusal(result)
        self._app = app
        return AccessToken(value=result["access_token"], expires_on=time.time() + result["expires_in"])

    def _open(self) -> Any:
        import msal  # noqa: PLC0415 -- lazy: 0.1 s of imports
        from msal.exceptions import MsalServiceError  # noqa: PLC0415

        credential = self._credential()
        self._credential_name = credential.name
        self._warn(credential)
        try:
            return msal.ConfidentialClientApplication(
                self._client_id,
                client_credential=credential.value,
                authority=self._authority,
                oidc_authority=self._oidc_authority,
                http_client=_Session(),
                instance_discovery=False,
                azure_region=False,
            )
        except ValueError as error:
            raise TokenError(
                f"Entra does not know {self._authority or self._oidc_authority}: no tenant of this name or id is in"
                " this cloud. Correct GRAPH_TENANT_ID, or GRAPH_CLOUD.",
                code="AADSTS90002",
            ) from error
        except (requests.RequestException, MsalServiceError, RuntimeError) as error:
            raise self._unanswered() from error

    def _ask(self, app: Any) -> dict[str, Any]:
        from msal.exceptions import MsalServiceError  # noqa: PLC0415 -- lazy, as above

        # `Tokens` is the cache, so that a token which Graph refused is not given a second time.
        app.remove_tokens_for_client()
        try:
            return app.acquire_token_for_client(self._scopes)
        except (requests.RequestException, MsalServiceError) as error:
            raise self._unanswered() from error

    def _unanswered(self) -> Unavailable:
        host = urlsplit(self._authority or self._oidc_authority or "").hostname
        return Unavailable(f"Entra ({host}) did not answer properly when asked for a token. Check the network to it.")

    def _refusal(self, result: Mapping[str, Any]) -> EntraUsersError:
        codes: list[int] = result.get("error_codes") or []
        code = f"AADSTS{codes[0]}" if codes else result.get("error", "unknown error")
        told = str(result.get("error_description", "")).partition("\n")[0].partition(" Trace ID")[0].strip()
        kind = Unavailable if TRANSIENT.intersection(codes) else TokenError
        return kind(
            f"Entra gave no token to app {self._client_id} with its {self._credential_name}: {told or code}",
            code=code,
            request_id=result.get("correlation_id"),
        )

    def _warn(self, credential: ClientCredential) -> None:
        if credential.expires_on and credential.expires_on - self._now() < timedelta(days=self._warn_days):
            logger.warning(
                "The %s of app %s expires on %s: renew it before then.",
                credential.name,
                self._client_id,
                credential.expires_on.date(),
            )


class IdentityTokens:
    """A managed identity that has Graph permissions of its own: no app registration, nothing to rotate."""

    def __init__(self, scope: str, credential: Callable[[], Any]) -> None:
        self._scope = scope
        self._credential = credential

    def acquire(self) -> AccessToken:
        """A token from the identity endpoint.

        Raises:
            IdentityError: there is no identity here, or it was refused.
        """
        return identity_token(self._credential(), self._scope)


class _Session(requests.Session):
    """What MSAL talks through: it sets no timeout of its own on a session it is given."""

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        return super().request(*args, timeout=_TIMEOUT, **kwargs)
