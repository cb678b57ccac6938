"""Settings: read from environment variables, every fault told at once by the setting's name."""

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entra_users.clouds import CLOUDS
from entra_users.errors import SettingsError
from entra_users.properties import DEFAULT_SELECT
from entra_users.settings import CREDENTIALS, Settings

APP = "11111111-2222-3333-4444-555555555555"
IDENTITY = "99999999-8888-7777-6666-555555555555"
WHOLE = {
    "GRAPH_TENANT_ID": "contoso.onmicrosoft.com",
    "GRAPH_CLIENT_ID": APP,
    "KEY_VAULT_URL": "https://contoso.vault.azure.net",
}
# A store may be any folder, and a property any name.
ANY_TEXT = ("USERS_STORE", "USERS_SELECT")
NAMES = [each.name.upper() for each in dataclasses.fields(Settings)]


def faults(environment: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        Settings.read(environment)
    return list(caught.value.faults)


def test_what_is_needed_is_enough_and_the_rest_has_defaults() -> None:
    assert Settings.read(WHOLE | {"PATH": "/bin", "USERS_STORE": "  ", "SYNC_LANES": ""}) == Settings(
        graph_credential="secret",
        graph_tenant_id="contoso.onmicrosoft.com",
        graph_client_id=APP,
        graph_cloud="global",
        key_vault_url="https://contoso.vault.azure.net",
        key_vault_secret_name="graph-client-secret",
        key_vault_certificate_name="graph-client-certificate",
        azure_client_id="",
        credential_warn_days=30,
        users_select=DEFAULT_SELECT,
        http_budget_seconds=100.0,
        sync_budget_seconds=900.0,
        users_store="./data/users",
        sync_schedule="0 0 2 * * *",
        sync_lanes=8,
        sync_partition_users=20_000,
        sync_inline_users=100_000,
        sync_count_tolerance=0.001,
        sync_max_shrink=0.2,
        full_sync_days=7,
        snapshot_formats=("ndjson",),
        snapshot_keep=7,
        changes_keep_days=30,
        applicationinsights_connection_string="",
    )


def test_every_setting_is_read() -> None:
    environment = {
        "GRAPH_CREDENTIAL": "federated",
        "GRAPH_TENANT_ID": " 72f988bf-86f1-41af-91ab-2d7cd011db47 ",
        "GRAPH_CLIENT_ID": APP.upper(),
        "GRAPH_CLOUD": "china",
        "KEY_VAULT_URL": "https://Contoso.vault.azure.cn/",
        "KEY_VAULT_SECRET_NAME": "one",
        "KEY_VAULT_CERTIFICATE_NAME": "two",
        "AZURE_CLIENT_ID": IDENTITY,
        "CREDENTIAL_WARN_DAYS": "0",
        "USERS_SELECT": "mail, id,,mail,extension_ab12_costCenter",
        "HTTP_BUDGET_SECONDS": "12.5",
        "SYNC_BUDGET_SECONDS": "1",
        "USERS_STORE": "https://account.blob.core.windows.net/users/contoso",
        "SYNC_SCHEDULE": "0 */5 * * * *",
        "SYNC_LANES": "1",
        "SYNC_PARTITION_USERS": "2",
        "SYNC_INLINE_USERS": "3",
        "SYNC_COUNT_TOLERANCE": "0",
        "SYNC_MAX_SHRINK": ".5",
        "FULL_SYNC_DAYS": "4",
        "SNAPSHOT_FORMATS": "csv",
        "SNAPSHOT_KEEP": "5",
        "CHANGES_KEEP_DAYS": "6",
        "CALLER_AUTH": "entra",
        "APPLICATIONINSIGHTS_CONNECTION_STRING": f"InstrumentationKey={APP};IngestionEndpoint=https://x.in.example/",
    }
    assert sorted(environment) == sorted(NAMES)
    assert Settings.read(environment) == Settings(
        graph_credential="federated",
        graph_tenant_id="72f988bf-86f1-41af-91ab-2d7cd011db47",
        graph_client_id=APP.upper(),
        graph_cloud="china",
        key_vault_url="https://contoso.vault.azure.cn",
        key_vault_secret_name="one",
        key_vault_certificate_name="two",
        azure_client_id=IDENTITY,
        credential_warn_days=0,
        # Always with the two that every read needs, and each once.
        users_select=("id", "createdDateTime", "mail", "extension_ab12_costCenter"),
        http_budget_seconds=12.5,
        sync_budget_seconds=1.0,
        users_store="https://account.blob.core.windows.net/users/contoso",
        sync_schedule="0 */5 * * * *",
        sync_lanes=1,
        sync_partition_users=2,
        sync_inline_users=3,
        sync_count_tolerance=0.0,
        sync_max_shrink=0.5,
        full_sync_days=4,
        snapshot_formats=("ndjson", "csv"),
        snapshot_keep=5,
        changes_keep_days=6,
        caller_auth="entra",
        applicationinsights_connection_string=f"InstrumentationKey={APP};IngestionEndpoint=https://x.in.example/",
    )


def test_all_faults_are_told_at_once_by_the_name_of_the_setting() -> None:
    environment = {
        "GRAPH_CREDENTIAL": "secret",
        "GRAPH_CLIENT_ID": "my app",
        "GRAPH_CLOUD": "germany",
        "KEY_VAULT_URL": "contoso",
        "SYNC_LANES": "0",
        "USERS_SELECT": "mail,aboutMe",
    }
    assert faults(environment) == [
        "GRAPH_CLIENT_ID must be a client id, a GUID such as 11111111-2222-3333-4444-555555555555.",
        "GRAPH_CLOUD must be one of global, usgov, usgov-dod, china.",
        "KEY_VAULT_URL must be a vault's address, such as https://my-vault.vault.azure.net.",
        "USERS_SELECT cannot be read: aboutMe is given by Graph for one user at a time only, never in a list (501).",
        "SYNC_LANES must be a whole number of at least 1.",
        (
            "GRAPH_TENANT_ID is not set, and GRAPH_CREDENTIAL=secret needs it: the tenant's id or domain, on the"
            " overview page of Microsoft Entra ID."
        ),
    ]


@pytest.mark.parametrize(
    ("mode", "needed"),
    [
        ("secret", ["GRAPH_TENANT_ID", "GRAPH_CLIENT_ID", "KEY_VAULT_URL"]),
        ("certificate", ["GRAPH_TENANT_ID", "GRAPH_CLIENT_ID", "KEY_VAULT_URL"]),
        ("federated", ["GRAPH_TENANT_ID", "GRAPH_CLIENT_ID", "AZURE_CLIENT_ID"]),
    ],
)
def test_each_credential_says_what_it_needs(mode: str, needed: list[str]) -> None:
    told = faults({"GRAPH_CREDENTIAL": mode})
    assert [each.split()[0] for each in told] == needed
    assert all(f"is not set, and GRAPH_CREDENTIAL={mode} needs it" in each for each in told)


def test_a_managed_identity_needs_nothing() -> None:
    assert Settings.read({"GRAPH_CREDENTIAL": "managed-identity"}) == Settings(graph_credential="managed-identity")


def test_with_an_unknown_credential_nothing_is_asked_for_in_its_name() -> None:
    assert faults({"GRAPH_CREDENTIAL": "password"}) == [f"GRAPH_CREDENTIAL must be one of {', '.join(CREDENTIALS)}."]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GRAPH_TENANT_ID", "common"),
        ("GRAPH_TENANT_ID", "Organizations"),
        ("GRAPH_TENANT_ID", "contoso/evil"),
        ("GRAPH_TENANT_ID", ".contoso"),
        ("GRAPH_CLIENT_ID", APP + "0"),
        ("AZURE_CLIENT_ID", "not a guid"),
        ("KEY_VAULT_URL", "http://contoso.vault.azure.net"),
        ("KEY_VAULT_URL", "https://contoso.vault.azure.net/secrets/name"),
        ("KEY_VAULT_URL", "https://contoso.vault.azure.net?x"),
        ("KEY_VAULT_URL", "https://contoso.vault.azure.net:8443"),
        ("KEY_VAULT_URL", "https://user@contoso.vault.azure.net"),
        ("KEY_VAULT_URL", "https://[contoso.vault.azure.net"),
        ("KEY_VAULT_URL", "https://contoso.vault.azure.net.evil.example"),
        ("KEY_VAULT_URL", "https://evil.example#.vault.azure.net"),
        ("KEY_VAULT_URL", "https://contoso.vault.azure.cn"),
        ("KEY_VAULT_URL", "@Microsoft.KeyVault(SecretUri=https://contoso.vault.azure.net/secrets/a)"),
        ("KEY_VAULT_SECRET_NAME", "a_b"),
        ("KEY_VAULT_CERTIFICATE_NAME", "a/b"),
        ("CREDENTIAL_WARN_DAYS", "-1"),
        ("CREDENTIAL_WARN_DAYS", "1.5"),
        ("SYNC_LANES", "0"),
        ("SYNC_LANES", "\u0663"),
        ("SYNC_LANES", "9" * 13),
        ("HTTP_BUDGET_SECONDS", "0"),
        ("HTTP_BUDGET_SECONDS", "0.0"),
        ("HTTP_BUDGET_SECONDS", "1e3"),
        ("SYNC_MAX_SHRINK", "1.1"),
        ("SYNC_MAX_SHRINK", "20%"),
        ("SYNC_SCHEDULE", "0 2 * * *"),
        ("SNAPSHOT_FORMATS", "parquet"),
        ("USERS_STORE", "http://account.blob.core.windows.net/users"),
        ("USERS_STORE", "https://account.blob.core.windows.net"),
        ("USERS_STORE", "https://account.blob.core.windows.net/users?sv=2024&sig=abc"),
        ("USERS_STORE", "https://account.file.core.windows.net/users"),
        ("USERS_STORE", "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=abc;EndpointSuffix=x"),
    ],
)
def test_a_malformed_setting_is_refused_by_its_name_alone(name: str, value: str) -> None:
    assert [each.split()[0] for each in faults(WHOLE | {name: value})] == [name]


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ANY_TEXT])
def test_no_fault_repeats_a_value_since_it_may_be_a_secret_in_the_wrong_place(name: str) -> None:
    secret = "b7Q~s3cret-of-the-app.registration"
    with pytest.raises(SettingsError) as caught:
        Settings.read(WHOLE | {name: secret})
    assert secret not in str(caught.value)
    assert secret not in repr(caught.value)


def test_the_connection_string_of_telemetry_is_not_in_the_repr() -> None:
    assert "abc" not in repr(Settings(applicationinsights_connection_string="InstrumentationKey=abc"))


@pytest.mark.parametrize("cloud", CLOUDS)
def test_the_vault_must_be_of_the_cloud(cloud: str) -> None:
    suffix = CLOUDS[cloud].vault_suffix
    settings = WHOLE | {"GRAPH_CLOUD": cloud, "KEY_VAULT_URL": f"https://contoso{suffix}"}
    assert Settings.read(settings).cloud is CLOUDS[cloud]
    other = ".vault.azure.net" if suffix != ".vault.azure.net" else ".vault.azure.cn"
    assert faults(settings | {"KEY_VAULT_URL": f"https://contoso{other}"}) == [
        f"KEY_VAULT_URL must end in {suffix} in the cloud that GRAPH_CLOUD={cloud} names."
    ]


@pytest.mark.parametrize(
    "store",
    [
        "data",
        "/var/lib/users",
        "C:\\users",
        "https://a.blob.core.windows.net/users",
        "https://a.blob.core.usgovcloudapi.net/b/c/",
    ],
)
def test_a_store_is_a_folder_or_a_container(store: str) -> None:
    assert Settings.read(WHOLE | {"USERS_STORE": store}).users_store == store


@given(st.dictionaries(st.sampled_from(NAMES), st.text()))
def test_no_environment_is_anything_but_settings_or_faults_that_name_them(environment: dict[str, Any]) -> None:
    try:
        settings = Settings.read(environment)
    except SettingsError as error:
        named = [fault.split()[0] for fault in error.faults]
    else:
        named = []
        assert settings.users_select[:2] == ("id", "createdDateTime")
    assert set(named) <= set(NAMES)
