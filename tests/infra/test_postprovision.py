"""The hook after provisioning: credential and consent, each only where it is missing."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

import pytest

from tests.infra.conftest import HOOKS, FakeAz

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
APP = "00001111-aaaa-2222-bbbb-3333cccc4444"
PRINCIPAL = "33334444-dddd-5555-eeee-6666ffff7777"
GRAPH = "https://graph.microsoft.com/v1.0"
VAULT = "/subscriptions/s/resourceGroups/rg-x/providers/Microsoft.KeyVault/vaults/kv-x"
SECRET_URL = f"{VAULT}/secrets/graph-client-secret?api-version=2024-11-01"
CONSENT_URL = (
    "https://login.microsoftonline.com/aaaabbbb-0000-cccc-1111-dddd2222eeee/adminconsent"
    "?client_id=00001111-aaaa-2222-bbbb-3333cccc4444"
)

type Hook = Callable[[str], ModuleType]


def granted(az: FakeAz) -> None:
    """Consent is there already."""
    az.answer("cloud show", "cloud.json")
    az.answer(f"rest --method get --url {GRAPH}/servicePrincipals(appId='{APP}')", {"id": PRINCIPAL})
    az.answer(f"rest --method get --url {GRAPH}/servicePrincipals/{PRINCIPAL}/appRoleAssignments", "app-roles.json")


def run(hook: Hook, environment: dict[str, Any], *, slept: list[float] | None = None) -> int:
    return hook("postprovision").main(environment, now=NOW, sleep=(slept if slept is not None else []).append)


def test_with_a_federated_credential_and_consent_there_is_nothing_to_do(
    az: FakeAz, provisioned: dict[str, Any]
) -> None:
    granted(az)
    ended = subprocess.run(
        [sys.executable, HOOKS / "postprovision.py"],
        env=os.environ | provisioned,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "User.Read.All is granted.\n", "")
    assert az.commands == [
        "cloud show",
        f"rest --method get --url {GRAPH}/servicePrincipals(appId='{APP}')?$select=id",
        f"rest --method get --url {GRAPH}/servicePrincipals/{PRINCIPAL}/appRoleAssignments",
    ]


def test_a_missing_secret_is_made_on_the_app_and_kept_in_the_vault_without_being_shown(
    az: FakeAz, hook: Hook, provisioned: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    az.answer("rest --method get --url /subscriptions", "no-secret.txt")
    az.answer("ad app credential reset", "password.json")
    az.answer("rest --method put", "secret.json")
    granted(az)
    assert run(hook, provisioned | {"GRAPH_CREDENTIAL": "secret"}) == 0
    out, err = capsys.readouterr()
    assert (out, err) == (
        "A new secret is in the vault, valid until 2027-05-21.\nUser.Read.All is granted.\n",
        "",
    )
    assert az.commands[:2] == [
        f"rest --method get --url {SECRET_URL}",
        (
            f"ad app credential reset --id {APP} --append --display-name key vault 2026-11-22"
            " --end-date 2027-05-21T10:00:00+00:00"
        ),
    ]
    *put, body = az.calls[2]
    assert put == ["rest", "--method", "put", "--url", SECRET_URL, "--body"]
    assert json.loads(body.removeprefix("@")) == {
        "properties": {
            "value": "the-new-secret-value",
            "contentType": "client secret",
            "attributes": {"enabled": True, "exp": int(datetime(2027, 5, 21, 10, tzinfo=UTC).timestamp())},
        },
        "tags": {"clientId": APP},
    }


def test_a_secret_that_is_valid_for_long_is_left_alone(
    az: FakeAz, hook: Hook, provisioned: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    az.answer("rest --method get --url /subscriptions", "secret.json")
    granted(az)
    assert run(hook, provisioned | {"GRAPH_CREDENTIAL": "secret"}) == 0
    assert capsys.readouterr().out.startswith("The vault holds a secret that is valid until 2027-05-19.\n")
    assert not any("credential reset" in command for command in az.commands)


@pytest.mark.parametrize(
    "secret",
    [
        {
            "properties": {"attributes": {"exp": int(datetime(2026, 12, 21, tzinfo=UTC).timestamp())}},
            "tags": {"clientId": APP},
        },
        {
            "properties": {"attributes": {"exp": int(datetime(2028, 1, 1, tzinfo=UTC).timestamp())}},
            "tags": {"clientId": "other"},
        },
        {"properties": {"attributes": {}}},
    ],
    ids=["expires within 30 days", "is another app's", "has no expiry and says of no app"],
)
def test_a_secret_that_will_not_do_is_replaced(
    az: FakeAz, hook: Hook, provisioned: dict[str, Any], secret: dict[str, Any]
) -> None:
    az.answer("rest --method get --url /subscriptions", secret)
    az.answer("ad app credential reset", "password.json")
    az.answer("rest --method put", "secret.json")
    granted(az)
    assert run(hook, provisioned | {"GRAPH_CREDENTIAL": "secret"}) == 0
    assert az.unused == 0


@pytest.mark.parametrize("answer", ["denied.txt", "vault-forbidden.txt"])
def test_a_vault_that_does_not_answer_fails_with_what_helps(
    az: FakeAz, hook: Hook, provisioned: dict[str, Any], capsys: pytest.CaptureFixture[str], answer: str
) -> None:
    az.answer("rest --method get --url /subscriptions", answer)
    assert run(hook, provisioned | {"GRAPH_CREDENTIAL": "secret"}) == 1
    err = capsys.readouterr().err
    assert err.startswith("The app's credential could not be provided: az rest --method get: ERROR: ")
    assert err.endswith("Then run `azd hooks run postprovision` again.\n")


def test_a_missing_certificate_is_made_in_the_vault_and_trusted_by_the_app(
    az: FakeAz, hook: Hook, provisioned: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    az.answer("keyvault certificate show", "no-certificate.txt")
    az.answer("keyvault certificate create", {"status": "completed"})
    az.answer("keyvault certificate show", "certificate.json")
    az.answer("ad app credential list", [{"displayName": "key vault an-older-version"}])
    az.answer("ad app credential reset", {"appId": APP})
    granted(az)
    assert run(hook, provisioned | {"GRAPH_CREDENTIAL": "certificate"}) == 0
    assert capsys.readouterr().out == (
        "A new certificate is in the vault.\nThe app now trusts the vault's certificate.\nUser.Read.All is granted.\n"
    )
    *create, policy = az.calls[1]
    at = ["--vault-name", "kv-x", "--name", "graph-client-certificate"]
    assert create == ["keyvault", "certificate", "create", *at, "--policy"]
    assert json.loads(policy.removeprefix("@")) == {
        "issuerParameters": {"name": "Self"},
        "keyProperties": {"exportable": True, "keyType": "RSA", "keySize": 2048, "reuseKey": False},
        "secretProperties": {"contentType": "application/x-pkcs12"},
        "x509CertificateProperties": {"subject": "CN=func-x", "validityInMonths": 12, "keyUsage": ["digitalSignature"]},
        "lifetimeActions": [{"trigger": {"daysBeforeExpiry": 30}, "action": {"actionType": "EmailContacts"}}],
    }
    assert az.commands[3:5] == [
        f"ad app credential list --id {APP} --cert",
        (
            f"ad app credential reset --id {APP} --append --keyvault kv-x --cert graph-client-certificate"
            " --display-name key vault 0123456789abcdef0123456789abcdef"
        ),
    ]


def test_a_certificate_that_is_valid_and_trusted_is_left_alone(
    az: FakeAz, hook: Hook, provisioned: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    az.answer("keyvault certificate show", "certificate.json")
    az.answer("keyvault certificate show", "certificate.json")
    az.answer("ad app credential list", [{"displayName": "key vault 0123456789abcdef0123456789abcdef"}])
    granted(az)
    assert run(hook, provisioned | {"GRAPH_CREDENTIAL": "certificate"}) == 0
    assert capsys.readouterr().out == (
        "The vault holds a certificate that is valid until 2027-11-20.\n"
        "The app trusts the vault's certificate.\n"
        "User.Read.All is granted.\n"
    )


def test_a_certificate_that_expires_soon_is_followed_by_another(
    az: FakeAz, hook: Hook, provisioned: dict[str, Any]
) -> None:
    az.answer("keyvault certificate show", {"attributes": {"expires": "2026-12-01T00:00:00+00:00"}})
    az.answer("keyvault certificate create", {"status": "completed"})
    az.answer("keyvault certificate show", "certificate.json")
    az.answer("ad app credential list", [])
    az.answer("ad app credential reset", {"appId": APP})
    granted(az)
    assert run(hook, provisioned | {"GRAPH_CREDENTIAL": "certificate"}) == 0
    assert az.unused == 0


def test_a_vault_behind_a_private_network_fails_with_what_helps(
    az: FakeAz, hook: Hook, provisioned: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    az.answer("keyvault certificate show", "vault-forbidden.txt")
    assert run(hook, provisioned | {"GRAPH_CREDENTIAL": "certificate"}) == 1
    assert "a vault with private networking is reached from its network only" in capsys.readouterr().err


OWNERS_WORK = {
    "secret": "Put the app's client secret into the vault kv-x as graph-client-secret: docs/deploy.md",
    "certificate": "The app's owner registers its public half on the app; get it with `az keyvault certificate download"
    " --vault-name kv-x --name graph-client-certificate --encoding PEM --file app.pem`.",
    "federated": "The app's owner adds a federated credential (scenario: managed identity) for the identity"
    " 22223333-cccc-4444-dddd-5555eeee6666.",
}


@pytest.mark.parametrize("mode", OWNERS_WORK)
def test_another_teams_app_is_never_changed_and_its_owner_is_told_what_to_do(
    az: FakeAz, hook: Hook, provisioned: dict[str, Any], capsys: pytest.CaptureFixture[str], mode: str
) -> None:
    if mode == "certificate":
        az.answer("keyvault certificate show", "certificate.json")
    granted(az)
    assert run(hook, provisioned | {"GRAPH_CREDENTIAL": mode, "ENTRA_APP": "existing"}) == 0
    assert OWNERS_WORK[mode] in capsys.readouterr().out
    assert not [command for command in az.commands if command.startswith("ad app")]


def test_missing_consent_is_given_where_whoever_deploys_may(
    az: FakeAz, hook: Hook, provisioned: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    az.answer("cloud show", "cloud.json")
    az.answer(f"rest --method get --url {GRAPH}/servicePrincipals(appId='{APP}')", {"id": PRINCIPAL})
    az.answer(f"rest --method get --url {GRAPH}/servicePrincipals/{PRINCIPAL}/appRoleAssignments", {"value": []})
    az.answer(f"rest --method get --url {GRAPH}/servicePrincipals(appId='00000003", {"id": "graph-principal"})
    az.answer("rest --method post", {"id": "5h"})
    assert run(hook, provisioned) == 0
    assert capsys.readouterr().out == "User.Read.All is now granted.\n"
    *post, body = az.calls[-1]
    url = f"{GRAPH}/servicePrincipals/{PRINCIPAL}/appRoleAssignments"
    assert post == ["rest", "--method", "post", "--url", url, "--body"]
    assert json.loads(body.removeprefix("@")) == {
        "principalId": PRINCIPAL,
        "resourceId": "graph-principal",
        "appRoleId": "df021288-bdef-4463-88db-98f22de89214",
    }


def test_consent_that_may_not_be_given_ends_in_the_administrators_url_and_no_failure(
    az: FakeAz, hook: Hook, provisioned: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    slept: list[float] = []
    az.answer("cloud show", "cloud.json")
    az.answer(f"rest --method get --url {GRAPH}/servicePrincipals(appId='{APP}')", {"id": PRINCIPAL})
    az.answer(f"rest --method get --url {GRAPH}/servicePrincipals/{PRINCIPAL}/appRoleAssignments", {"value": []})
    az.answer(f"rest --method get --url {GRAPH}/servicePrincipals(appId='00000003", {"id": "graph-principal"})
    az.answer("rest --method post", "denied.txt")
    assert run(hook, provisioned, slept=slept) == 0
    out, err = capsys.readouterr()
    assert out.startswith("Consent is still missing: az rest --method post: ERROR: Forbidden(")
    assert out.endswith(f"A Privileged Role Administrator or Global Administrator consents at\n  {CONSENT_URL}\n")
    assert (err, slept) == ("", [])


def test_an_app_that_is_not_yet_known_everywhere_is_asked_for_again_with_growing_waits(
    az: FakeAz, hook: Hook, provisioned: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    slept: list[float] = []
    for _ in range(2):
        az.answer(f"rest --method get --url {GRAPH}/servicePrincipals(appId='{APP}')", "unknown-app.txt")
    granted(az)
    assert run(hook, provisioned, slept=slept) == 0
    assert slept == [5.0, 10.0]
    assert capsys.readouterr().out.endswith("User.Read.All is granted.\n")


def test_an_app_that_stays_unknown_fails_nothing_either(
    az: FakeAz, hook: Hook, provisioned: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    slept: list[float] = []
    az.answer("cloud show", "cloud.json")
    for _ in range(5):
        az.answer(f"rest --method get --url {GRAPH}/servicePrincipals(appId='{APP}')", "unknown-app.txt")
    assert run(hook, provisioned, slept=slept) == 0
    assert slept == [5.0, 10.0, 20.0, 40.0]
    assert CONSENT_URL in capsys.readouterr().out


def test_a_managed_identity_is_granted_the_permission_itself(
    az: FakeAz, hook: Hook, provisioned: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    identity = provisioned["FUNCTION_IDENTITY_PRINCIPAL_ID"]
    az.answer("cloud show", "cloud.json")
    az.answer(f"rest --method get --url {GRAPH}/servicePrincipals/{identity}/appRoleAssignments", "denied.txt")
    assert run(hook, provisioned | {"GRAPH_CREDENTIAL": "managed-identity", "GRAPH_CLIENT_ID": ""}) == 0
    assert capsys.readouterr().out.endswith(
        "A Privileged Role Administrator or Global Administrator grants User.Read.All to the managed identity"
        f' {identity}: docs/deploy.md, "Consent".\n'
    )


def test_consent_in_another_tenant_is_left_to_its_administrator(
    az: FakeAz, hook: Hook, provisioned: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    other = {"ENTRA_APP": "existing", "GRAPH_TENANT_ID": "bbbbcccc-1111-dddd-2222-eeee3333ffff"}
    assert run(hook, provisioned | other) == 0
    assert capsys.readouterr().out.endswith(f"consents at\n  {CONSENT_URL}\n")
    assert az.calls == []
