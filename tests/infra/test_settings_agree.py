"""One list of settings: what the code reads, what Bicep sets, what the example and the README name.

The rule for Bicep: what the deployment itself knows (addresses, ids, the mode, the schedule that the host needs) is
computed; every other setting may be set through the azd environment variable of the same name, and is left to the
default in the code where it is not.
"""

import json
import re
from dataclasses import fields

import pytest

from entra_users.settings import CREDENTIALS, Settings
from tests.infra.templates import MAIN, PARAMETERS, ROOT, computed_settings, default, tunable_settings

READ_BY_THE_CODE = {field.name.upper() for field in fields(Settings)}
READ_BY_THE_HOST = {
    "AzureWebJobsStorage__blobServiceUri",
    "AzureWebJobsStorage__queueServiceUri",
    "AzureWebJobsStorage__credential",
    "AzureWebJobsStorage__clientId",
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
}
NEVER_ON_FLEX = {
    "AzureWebJobsStorage",
    "ENABLE_ORYX_BUILD",
    "FUNCTIONS_EXTENSION_VERSION",
    "FUNCTIONS_WORKER_RUNTIME",
    "SCM_DO_BUILD_DURING_DEPLOYMENT",
    "TZ",
    "WEBSITE_CONTENTAZUREFILECONNECTIONSTRING",
    "WEBSITE_CONTENTSHARE",
    "WEBSITE_MAX_DYNAMIC_APPLICATION_SCALE_OUT",
    "WEBSITE_RUN_FROM_PACKAGE",
    "WEBSITE_TIME_ZONE",
}


def all_computed() -> set[str]:
    return set().union(*(computed_settings(credential) for credential in CREDENTIALS))


def test_bicep_sets_exactly_what_code_and_host_read() -> None:
    assert all_computed() | set(tunable_settings()) == READ_BY_THE_CODE | READ_BY_THE_HOST


def test_no_setting_is_both_computed_and_left_to_whoever_deploys() -> None:
    assert all_computed() & set(tunable_settings()) == set()


def test_a_tunable_setting_is_set_through_the_variable_of_its_own_name() -> None:
    assert tunable_settings() == {name: f"${{{name}}}" for name in tunable_settings()}


def test_settings_that_flex_consumption_refuses_are_never_set() -> None:
    assert (all_computed() | set(tunable_settings())) & NEVER_ON_FLEX == set()


@pytest.mark.parametrize("credential", CREDENTIALS)
def test_what_bicep_sets_in_a_mode_is_all_that_the_code_needs_there(credential: str) -> None:
    plausible = {
        "GRAPH_CREDENTIAL": credential,
        "GRAPH_CLOUD": "global",
        "GRAPH_TENANT_ID": "aaaabbbb-0000-cccc-1111-dddd2222eeee",
        "GRAPH_CLIENT_ID": "00001111-aaaa-2222-bbbb-3333cccc4444",
        "AZURE_CLIENT_ID": "11110000-aaaa-bbbb-cccc-222233334444",
        "KEY_VAULT_URL": "https://kv-x.vault.azure.net",
        "KEY_VAULT_SECRET_NAME": default("keyVaultSecretName"),
        "KEY_VAULT_CERTIFICATE_NAME": default("keyVaultCertificateName"),
        "USERS_STORE": "https://stdatax.blob.core.windows.net/users/directory",
        "SYNC_SCHEDULE": default("syncSchedule"),
    }
    settings = Settings.read({name: plausible[name] for name in computed_settings(credential) & plausible.keys()})
    assert settings.graph_credential == credential
    assert settings.users_store == plausible["USERS_STORE"]
    assert settings.azure_client_id == plausible["AZURE_CLIENT_ID"]


def test_defaults_that_both_bicep_and_code_have_are_the_same() -> None:
    standard = Settings()
    assert default("keyVaultSecretName") == standard.key_vault_secret_name
    assert default("keyVaultCertificateName") == standard.key_vault_certificate_name
    assert default("syncSchedule") == standard.sync_schedule


def test_bicep_offers_the_credentials_that_the_code_knows() -> None:
    found = re.search(r"@allowed\(\[(.*)\]\)\nparam graphCredential", MAIN)
    assert found
    assert tuple(re.findall(r"'([^']+)'", found[1])) == CREDENTIALS


def test_every_parameter_can_be_set_through_azd() -> None:
    assert set(PARAMETERS) == set(re.findall(r"^param (\w+) ", MAIN, re.MULTILINE))


def test_the_example_of_local_settings_names_every_setting() -> None:
    example = json.loads((ROOT / "local.settings.json.example").read_text(encoding="utf-8"))
    assert set(example["Values"]) == READ_BY_THE_CODE | {"AzureWebJobsStorage", "FUNCTIONS_WORKER_RUNTIME"}


def test_the_readme_describes_every_setting() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    described = set(re.findall(r"^\| `([A-Z][A-Z_]+)` \|", readme, re.MULTILINE))
    assert described == READ_BY_THE_CODE
