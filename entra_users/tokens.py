"""Access tokens: acquired once per lifetime for all threads, by MSAL or from the managed identity.

The only module that knows MSAL. https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-client-creds-grant-flow
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

import requests

from entra_users import telemetry
from entra_users.errors import EntraUsersError, TokenError, Unavailable
from entra_users.identity import AccessToken, identity_token
from entra_users.retry import retry_after_seconds

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
        self._acquired = 0.0

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
                    self._acquired = self._clock()
                except Unavailable:
                    if self._token is None or self._clock() > self._token.expires_on:
                        raise
            return self._token.value

    def reject(self, value: str, *, older_than: float = 0.0) -> None:
        """Forget a token that a service refused, unless another thread has replaced it already.

        Args:
            value: the token.
            older_than: keep it if it was acquired within so many seconds, since a new one would be no better.
        """
        with self._lock:
            known = self._token is not None and self._token.value == value
            if known and self._clock() - self._acquired >= older_than:
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
        self._app: tuple[Any, ClientCredential] | None = None

    def acquire(self) -> AccessToken:
        """A new token; if Entra says that the credential is stale, it is read again once and tried once more.

        Raises:
            CredentialError: Entra or the vault refused.
            Unavailable: they did not answer properly; another try may succeed.
        """
        app, credential = self._app or self._open()
        # An app that was refused or not answered is not kept: what stood in the way may be put right while this process
        # lives, and MSAL would replay the answer for a minute without asking again.
        self._app = None
        result = self._ask(app)
        if STALE_CREDENTIAL.intersection(result.get("error_codes", ())):
            logger.warning("Entra refused the %s; reading it again.", credential.name)
            app, credential = self._open()
            result = self._ask(app)
        if "access_token" not in result:
            raise self._refusal(result, credential)
        self._warn(credential)
        self._app = app, credential
        return AccessToken(
            value=result["access_token"], expires_on=self._now().timestamp() + int(result.get("expires_in", 0))
        )

    def _open(self) -> tuple[Any, ClientCredential]:
        import msal  # noqa: PLC0415 -- lazy: 0.1 s of imports

        credential = self._credential()
        try:
            app = msal.ConfidentialClientApplication(
                self._client_id,
                client_credential=credential.value,
                authority=self._authority,
                oidc_authority=self._oidc_authority,
                http_client=_Session(),
                instance_discovery=False,
                azure_region=False,
            )
        except requests.RequestException as error:
            raise self._unanswered(error) from error
        except (ValueError, KeyError) as error:
            raise TokenError(
                f"Entra does not know {self._authority or self._oidc_authority}: no tenant of this name or id is in"
                " this cloud. Correct the tenant or the cloud.",
                code="AADSTS90002",
            ) from error
        return app, credential

    def _ask(self, app: Any) -> dict[str, Any]:
        # `Tokens` is the cache, so that a token which Graph refused is not given a second time.
        app.remove_tokens_for_client()
        try:
            return app.acquire_token_for_client(self._scopes)
        except requests.RequestException as error:
            raise self._unanswered(error) from error

    def _unanswered(self, error: requests.RequestException) -> Unavailable:
        host = urlsplit(self._authority or self._oidc_authority or "").hostname
        answer = error.response
        told = {} if answer is None else _document(answer) or {}
        return Unavailable(
            f"Entra ({host}) did not answer properly when asked for a token. Check the network to it.",
            status=None if answer is None else answer.status_code,
            code=_code(told),
            request_id=told.get("correlation_id"),
            retry_after=None if answer is None else retry_after_seconds(answer.headers.get("Retry-After"), self._now()),
        )

    def _refusal(self, result: Mapping[str, Any], credential: ClientCredential) -> EntraUsersError:
        codes: list[int] = result.get("error_codes") or []
        code = _code(result)
        told = str(result.get("error_description", "")).partition("\n")[0].partition(" Trace ID")[0].strip()
        kind = Unavailable if TRANSIENT.intersection(codes) else TokenError
        return kind(
            f"Entra gave no token to app {self._client_id} with its {credential.name}: {told or code or 'no reason.'}",
            code=code,
            request_id=result.get("correlation_id"),
        )

    def _warn(self, credential: ClientCredential) -> None:
        if credential.expires_on is None:
            return
        left = credential.expires_on - self._now()
        telemetry.record("credential.days_left", left.days)
        if left < timedelta(days=self._warn_days):
            telemetry.event("credential.expiring", credential_days_left=left.days)
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
    """What MSAL talks through: on a session it is given it sets no timeout, and it takes whatever comes for Entra's."""

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        response = super().request(*args, timeout=_TIMEOUT, **kwargs)
        if response.status_code == 429 or response.status_code >= 500:
            response.raise_for_status()
        if _document(response) is None:
            # Not chained to what could quote an answer that is cut short, a token's beginning among it.
            raise TokenError(
                f"{urlsplit(response.url).hostname} answered with what is no answer of Entra's. Look for a proxy that"
                " answers in its place.",
                status=response.status_code,
            )
        return response


def _document(answer: requests.Response) -> dict[str, Any] | None:
    """The JSON object that was answered; None for anything else."""
    try:
        document: Any = answer.json()
    except ValueError:
        return None
    return cast("dict[str, Any]", document) if isinstance(document, dict) else None


def _code(document: Mapping[str, Any]) -> str | None:
    """The code that is most telling in Entra's error."""
    codes, error = document.get("error_codes"), document.get("error")
    if isinstance(codes, list) and codes:
        return f"AADSTS{codes[0]}"
    return error if isinstance(error, str) else None
