"""Secrets from Key Vault: https://learn.microsoft.com/en-us/azure/key-vault/general/rest-error-codes."""

import datetime as dt
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from azure.keyvault.secrets._shared import http_challenge_cache

from entra_users.errors import EntraUsersError, IdentityError, Unavailable, VaultError
from entra_users.identity import azure_credential
from entra_users.vault import VaultSecret, read_secret
from simulator import Simulator
from simulator.faults import VAULT, answered, unreachable, vault_throttled

URL = f"https://{VAULT}"
ENDS = dt.datetime(2030, 1, 2, 3, 4, 5, tzinfo=dt.UTC)


@pytest.fixture
def read(azure: Simulator) -> Iterator[Callable[..., VaultSecret]]:
    """Reads a secret as the user-assigned managed identity, from a vault that was never asked before."""

    def read_as_identity(name: str = "graph-client-secret", *, retries: int = 4) -> VaultSecret:
        return read_secret(URL, name, lambda: azure_credential(azure.entra.identity.client_id), retries=retries)

    http_challenge_cache.clear()
    yield read_as_identity
    http_challenge_cache.clear()


def refusal(read: Callable[..., VaultSecret], *arguments: Any, **options: Any) -> EntraUsersError:
    with pytest.raises(EntraUsersError) as caught:
        read(*arguments, **options)
    return caught.value


def test_the_current_version_is_read_with_what_the_vault_says_of_it(
    azure: Simulator, read: Callable[..., VaultSecret]
) -> None:
    vault = azure.vaults["contoso"]
    vault.set_secret("name", "old")
    version = vault.set_secret("name", "new", content_type="text/plain", expires_on=ENDS)
    assert read("name") == VaultSecret(value="new", content_type="text/plain", version=version, expires_on=ENDS)


def test_a_secret_without_a_type_and_an_end_is_read_too(azure: Simulator, read: Callable[..., VaultSecret]) -> None:
    version = azure.vaults["contoso"].set_secret("name", "value")
    assert read("name") == VaultSecret(value="value", content_type="", version=version, expires_on=None)


def test_the_repr_does_not_hold_the_value(read: Callable[..., VaultSecret]) -> None:
    secret = read()
    assert secret.value not in repr(secret)


def test_a_vault_asks_for_a_token_of_its_own(azure: Simulator, read: Callable[..., VaultSecret]) -> None:
    read()
    assert [(each.host, each.status) for each in azure.requests] == [
        (VAULT, 401),
        ("managed-identity", 200),
        (VAULT, 200),
    ]


def test_nothing_of_azure_is_asked_before_the_read() -> None:
    def credential() -> Any:
        raise AssertionError

    with pytest.raises(AssertionError):
        read_secret(URL, "name", credential)


def no_rights(azure: Simulator) -> None:
    azure.vaults["contoso"].readers.clear()


def firewall(azure: Simulator) -> None:
    azure.vaults["contoso"].firewall = True


def deleted(azure: Simulator) -> None:
    azure.vaults["contoso"].delete_secret("graph-client-secret")


def disabled(azure: Simulator) -> None:
    azure.vaults["contoso"].set_secret("graph-client-secret", "value", enabled=False)


@pytest.mark.parametrize(
    ("spoil", "status", "code", "told"),
    [
        (no_rights, 403, "ForbiddenByRbac", "Caller is not authorized to perform action on resource."),
        (firewall, 403, "ForbiddenByFirewall", "Client address is not authorized"),
        (deleted, 404, "SecretNotFound", "A secret with (name/id) graph-client-secret was not found"),
        (disabled, 403, "SecretDisabled", "Operation get is not allowed on a disabled secret."),
    ],
)
def test_a_refusal_names_vault_secret_and_cause(
    azure: Simulator,
    read: Callable[..., VaultSecret],
    spoil: Callable[[Simulator], None],
    status: int,
    code: str,
    told: str,
) -> None:
    spoil(azure)
    error = refusal(read)
    assert (type(error), error.status, error.code) == (VaultError, status, code)
    assert str(error).startswith(f"Key Vault {URL} did not give 'graph-client-secret': ")
    assert told in str(error)


def test_a_busy_vault_is_asked_again(azure: Simulator, read: Callable[..., VaultSecret]) -> None:
    azure.faults.plan(vault_throttled("0.01", skip=1, times=2))
    assert read().value == azure.entra.application.secrets[0].value


@pytest.mark.parametrize(
    "fault",
    [vault_throttled("0.01", times=None), answered(503, host=VAULT, times=None, headers={"Retry-After": "0.01"})],
)
def test_a_vault_that_stays_busy_may_answer_later(
    azure: Simulator, read: Callable[..., VaultSecret], fault: Any
) -> None:
    azure.faults.plan(fault)
    error = refusal(read)
    assert (type(error), error.status) == (Unavailable, fault.status)


def test_a_vault_that_cannot_be_reached_is_named(azure: Simulator, read: Callable[..., VaultSecret]) -> None:
    azure.faults.plan(unreachable(host=VAULT, times=None))
    error = refusal(read, retries=0)
    assert (type(error), error.status) == (VaultError, None)
    assert str(error).startswith(f"Key Vault {URL} could not be asked for 'graph-client-secret': ")


def test_an_identity_that_gives_no_token_is_not_told_as_the_vaults_fault(
    azure: Simulator, read: Callable[..., VaultSecret]
) -> None:
    azure.entra.user_identities.clear()
    error = refusal(read)
    assert type(error) is IdentityError
    assert str(error).startswith("The managed identity gave no token for https://vault.azure.net/.default: ")


@pytest.mark.parametrize("status", [200, 403])
def test_an_answer_cut_short_does_not_bring_what_came_of_the_secret_into_the_error(
    azure: Simulator, read: Callable[..., VaultSecret], status: int
) -> None:
    azure.faults.plan(answered(status, '{"value": "the-begin', host=VAULT, skip=1))
    error = refusal(read)
    assert (type(error), error.status) == (VaultError, status)
    assert "the-begin" not in "".join(traceback.format_exception(error))


def test_a_challenge_that_asks_for_another_resources_token_is_refused(
    azure: Simulator, read: Callable[..., VaultSecret]
) -> None:
    challenge = 'Bearer authorization="https://login.microsoftonline.com/x", resource="https://evil.example"'
    azure.faults.plan(answered(401, headers={"WWW-Authenticate": challenge}, host=VAULT))
    assert type(refusal(read)) is VaultError
    assert [each.host for each in azure.requests] == [VAULT]
