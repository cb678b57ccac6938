"""The hook before provisioning: what would fail later is said at once."""

import subprocess
import sys
from collections.abc import Callable
from types import ModuleType

import pytest

from tests.infra.conftest import HOOKS, FakeAz

REGISTERED = [
    "Microsoft.App",
    "microsoft.insights",
    "Microsoft.KeyVault",
    "Microsoft.ManagedIdentity",
    "Microsoft.Network",
    "Microsoft.OperationalInsights",
    "Microsoft.Storage",
    "Microsoft.Web",
]
ENVIRONMENT = {
    "AZURE_LOCATION": "Sweden Central",
    "AZURE_SUBSCRIPTION_ID": "11112222-bbbb-3333-cccc-4444dddd5555",
    "AZURE_TENANT_ID": "aaaabbbb-0000-cccc-1111-dddd2222eeee",
}

type Hook = Callable[[str], ModuleType]


def lay_out(az: FakeAz, *, account: object = "account.json", registered: list[str] = REGISTERED) -> None:
    az.answer("account show", account)
    az.answer("provider list", registered)
    az.answer("functionapp list-flexconsumption-locations", "locations.json")
    az.answer("functionapp list-flexconsumption-runtimes", "runtimes.json")


def test_nothing_is_said_or_changed_where_all_is_ready(
    az: FakeAz, hook: Hook, capsys: pytest.CaptureFixture[str]
) -> None:
    lay_out(az)
    assert hook("preprovision").main(ENVIRONMENT) == 0
    assert capsys.readouterr() == ("", "")
    assert az.commands == [
        "account show",
        "provider list --query [?registrationState=='Registered'].namespace",
        "functionapp list-flexconsumption-locations",
        "functionapp list-flexconsumption-runtimes --location swedencentral --runtime python",
    ]


def test_the_script_that_azd_runs_ends_with_what_main_returns(az: FakeAz) -> None:
    az.answer("account show", "not-signed-in.txt")
    ended = subprocess.run([sys.executable, HOOKS / "preprovision.py"], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == (
        "Azure could not be asked; if az is not signed in, run `az login`."
        " (az account show: ERROR: Please run 'az login' to setup account.)\n"
    )


def test_a_machine_without_az_is_told_where_to_get_it(
    hook: Hook, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert hook("preprovision").main({}) == 1
    assert "install it: https://learn.microsoft.com/en-us/cli/azure/install-azure-cli" in capsys.readouterr().err


def test_missing_resource_providers_are_registered(az: FakeAz, hook: Hook, capsys: pytest.CaptureFixture[str]) -> None:
    lay_out(az, registered=REGISTERED[1:])
    az.answer("provider register", {})
    assert hook("preprovision").main(ENVIRONMENT) == 0
    assert "provider register --namespace Microsoft.App --wait" in az.commands
    assert "Registering the resource provider Microsoft.App" in capsys.readouterr().out


def test_a_provider_that_may_not_be_registered_is_named_with_the_command_for_an_owner(
    az: FakeAz, hook: Hook, capsys: pytest.CaptureFixture[str]
) -> None:
    lay_out(az, registered=REGISTERED[1:])
    az.answer("provider register", "no-right-to-register.txt")
    assert hook("preprovision").main(ENVIRONMENT) == 1
    assert capsys.readouterr().err.startswith(
        "Microsoft.App is not registered: an owner runs `az provider register -n Microsoft.App --wait`."
        " (az provider register --namespace: ERROR: (AuthorizationFailed)"
    )


@pytest.mark.parametrize(
    ("environment", "fault"),
    [
        (
            {"AZURE_TENANT_ID": "bbbbcccc-1111-dddd-2222-eeee3333ffff"},
            (
                "az is signed in to another tenant (aaaabbbb-0000-cccc-1111-dddd2222eeee): run"
                " `az login --tenant bbbbcccc-1111-dddd-2222-eeee3333ffff`."
            ),
        ),
        (
            {"AZURE_SUBSCRIPTION_ID": "99998888-bbbb-3333-cccc-4444dddd5555"},
            (
                "az uses another subscription (11112222-bbbb-3333-cccc-4444dddd5555): run"
                " `az account set --subscription 99998888-bbbb-3333-cccc-4444dddd5555`."
            ),
        ),
        (
            {"GRAPH_CREDENTIAL": "password"},
            "GRAPH_CREDENTIAL is 'password': set it to secret, certificate, federated or managed-identity.",
        ),
        (
            {"ENTRA_APP": "existing"},
            "ENTRA_APP=existing needs an app's client id: `azd env set GRAPH_CLIENT_ID ...` (docs/register.md).",
        ),
        (
            {"ENTRA_APP": "existing", "GRAPH_CREDENTIAL": "managed-identity", "CALLER_AUTH": "entra"},
            "ENTRA_APP=existing needs an app's client id: `azd env set CALLER_CLIENT_ID ...` (docs/register.md).",
        ),
        (
            {"GRAPH_TENANT_ID": "bbbbcccc-1111-dddd-2222-eeee3333ffff"},
            (
                "GRAPH_TENANT_ID is not the subscription's tenant, and no app can be created there from here: register"
                " it there (docs/register.md), then `azd env set ENTRA_APP existing` and `azd env set GRAPH_CLIENT_ID"
                " ...`."
            ),
        ),
    ],
)
def test_a_choice_that_cannot_work_ends_it_before_azure_is_changed(
    az: FakeAz, hook: Hook, capsys: pytest.CaptureFixture[str], environment: dict[str, str], fault: str
) -> None:
    az.answer("account show", "account.json")
    assert hook("preprovision").main(ENVIRONMENT | environment) == 1
    assert capsys.readouterr().err == f"{fault}\n"
    assert az.commands == ["account show"]


@pytest.mark.parametrize(
    ("environment", "set_"),
    [
        ({"GRAPH_CREDENTIAL": "secret"}, " and `azd env set GRAPH_CLIENT_ID ...`"),
        ({"GRAPH_CREDENTIAL": "certificate"}, " and `azd env set GRAPH_CLIENT_ID ...`"),
        ({}, " and `azd env set GRAPH_CLIENT_ID ...`"),
        (
            {"GRAPH_CREDENTIAL": "managed-identity", "CALLER_AUTH": "entra"},
            " and `azd env set CALLER_CLIENT_ID ...`",
        ),
    ],
)
def test_a_national_cloud_needs_apps_that_were_registered_by_hand(
    az: FakeAz, hook: Hook, capsys: pytest.CaptureFixture[str], environment: dict[str, str], set_: str
) -> None:
    az.answer("account show", {"environmentName": "AzureUSGovernment", "id": "s", "tenantId": "t"})
    assert hook("preprovision").main(environment) == 1
    assert capsys.readouterr().err == (
        "AzureUSGovernment has no Microsoft Graph Bicep extension: register by hand (docs/register.md), then"
        f" `azd env set ENTRA_APP existing`{set_}.\n"
    )


@pytest.mark.parametrize(
    "environment",
    [
        {"GRAPH_CREDENTIAL": "managed-identity"},
        {"ENTRA_APP": "existing", "GRAPH_CLIENT_ID": "c", "GRAPH_TENANT_ID": "x"},
    ],
)
def test_a_national_cloud_is_fine_without_an_app_or_with_an_existing_one(
    az: FakeAz, hook: Hook, environment: dict[str, str]
) -> None:
    lay_out(az, account={"environmentName": "AzureUSGovernment", "id": "s", "tenantId": "t"})
    assert hook("preprovision").main(environment) == 0


def test_a_region_without_flex_consumption_is_answered_with_those_that_have_it(
    az: FakeAz, hook: Hook, capsys: pytest.CaptureFixture[str]
) -> None:
    lay_out(az)
    assert hook("preprovision").main(ENVIRONMENT | {"AZURE_LOCATION": "antarctica"}) == 1
    assert capsys.readouterr().err == (
        "antarctica has no Flex Consumption plan. These do: eastus, northeurope, swedencentral.\n"
    )


def test_a_region_without_this_python_is_refused(az: FakeAz, hook: Hook, capsys: pytest.CaptureFixture[str]) -> None:
    az.answer("functionapp list-flexconsumption-runtimes", [{"name": "python", "version": "3.12"}])
    lay_out(az)
    assert hook("preprovision").main(ENVIRONMENT) == 1
    assert capsys.readouterr().err == "Sweden Central offers Python 3.12 but not 3.13: choose another region.\n"


def test_before_a_region_is_chosen_none_is_asked_about(az: FakeAz, hook: Hook) -> None:
    lay_out(az)
    assert hook("preprovision").main({}) == 0
    assert az.unused == 2
