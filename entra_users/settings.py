"""The app's settings: read once from environment variables, every fault reported at once, by setting name."""

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, cast

from entra_users.clouds import CLOUDS, Cloud
from entra_users.errors import SettingsError
from entra_users.properties import DEFAULT_SELECT, select_faults
from entra_users.schedule import read_schedule

CREDENTIALS = ("secret", "certificate", "federated", "managed-identity")
"""The values of `GRAPH_CREDENTIAL`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings. A field is its environment variable's name in lower case; README.md describes each."""

    graph_credential: str = "secret"
    graph_tenant_id: str = ""
    graph_client_id: str = ""
    graph_cloud: str = "global"
    key_vault_url: str = ""
    key_vault_secret_name: str = "graph-client-secret"  # noqa: S105 -- a name, no secret
    key_vault_certificate_name: str = "graph-client-certificate"
    azure_client_id: str = ""
    credential_warn_days: int = 30
    users_select: tuple[str, ...] = DEFAULT_SELECT
    http_budget_seconds: float = 100.0
    sync_budget_seconds: float = 900.0
    users_store: str = "./data/users"
    sync_schedule: str = "0 0 2 * * *"
    sync_lanes: int = 8
    sync_partition_users: int = 20_000
    sync_inline_users: int = 100_000
    sync_count_tolerance: float = 0.001
    sync_max_shrink: float = 0.2
    full_sync_days: int = 7
    snapshot_formats: tuple[str, ...] = ("ndjson",)
    snapshot_keep: int = 7
    changes_keep_days: int = 30
    caller_auth: str = "key"
    applicationinsights_connection_string: str = field(default="", repr=False)

    @property
    def cloud(self) -> Cloud:
        """The cloud that `GRAPH_CLOUD` names."""
        return CLOUDS[self.graph_cloud]

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> "Settings":
        """Read the settings from environment variables; an empty one counts as not set.

        Raises:
            SettingsError: with one sentence for every setting that is missing or malformed; names of properties apart,
                none repeats a value, since what was put into the wrong setting may be a secret.
        """
        faults: list[str] = []
        values: dict[str, Any] = {}
        for setting in fields(cls):
            name = setting.name.upper()
            text = environment.get(name, "").strip()
            if not text:
                assert setting.default is not MISSING  # noqa: S101 -- every setting has a default
                values[setting.name] = setting.default
                continue
            try:
                values[setting.name] = _PARSERS[name](text) if name in _PARSERS else text
            except ValueError as fault:
                faults.append(f"{name} {fault}")
        # What a mode needs can only be said once the mode is known.
        if "graph_credential" in values:
            faults += _missing(values)
        faults += _wrong_vault(values)
        if faults:
            raise SettingsError(faults)
        return cls(**values)


_NEEDED = {
    "secret": ("graph_tenant_id", "graph_client_id", "key_vault_url"),
    "certificate": ("graph_tenant_id", "graph_client_id", "key_vault_url"),
    "federated": ("graph_tenant_id", "graph_client_id", "azure_client_id"),
    "managed-identity": (),
}
_MEANING = {
    "graph_tenant_id": "the tenant's id or domain, on the overview page of Microsoft Entra ID",
    "graph_client_id": "the Application (client) ID of the app registration",
    "key_vault_url": "the vault's address, such as https://my-vault.vault.azure.net",
    "azure_client_id": "the client id of the user-assigned managed identity that the app registration trusts",
}


def _missing(values: Mapping[str, Any]) -> list[str]:
    mode = cast("str", values["graph_credential"])
    return [
        f"{name.upper()} is not set, and GRAPH_CREDENTIAL={mode} needs it: {_MEANING[name]}."
        for name in _NEEDED[mode]
        if values.get(name) == ""
    ]


def _wrong_vault(values: Mapping[str, Any]) -> list[str]:
    url, cloud = values.get("key_vault_url"), values.get("graph_cloud")
    if not url or not cloud or url.endswith(CLOUDS[cloud].vault_suffix):
        return []
    return [f"KEY_VAULT_URL must end in {CLOUDS[cloud].vault_suffix} in the cloud that GRAPH_CLOUD={cloud} names."]


def _choice(*allowed: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}.")
        return text

    return parse


def _whole(least: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,12}", text) or int(text) < least:
            raise ValueError(f"must be a whole number of at least {least}.")
        return int(text)

    return parse


def _seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]+)?", text) or float(text) == 0:
        raise ValueError("must be a number of seconds above 0.")
    return float(text)


def _share(text: str) -> float:
    if not re.fullmatch(r"[0-9]?(\.[0-9]+)?", text) or not 0 <= float(text) <= 1:
        raise ValueError("must be a share from 0 to 1, such as 0.2 for 20 %.")
    return float(text)


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def _select(text: str) -> tuple[str, ...]:
    select = _names(text)
    if faults := select_faults(select):
        raise ValueError("cannot be read: " + " ".join(faults))
    # Every read needs the two: one to tell users apart, the other to split the directory.
    return tuple(dict.fromkeys(("id", "createdDateTime", *select)))


def _formats(text: str) -> tuple[str, ...]:
    formats = _names(text)
    if not {"ndjson", "csv"}.issuperset(formats):
        raise ValueError("may hold ndjson and csv.")
    return tuple(dict.fromkeys(("ndjson", *formats)))


def _vault(text: str) -> str:
    if text.startswith("@Microsoft.KeyVault"):
        raise ValueError("is a Key Vault reference that did not resolve; give the vault's plain address.")
    if not re.fullmatch(r"https://[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)+/?", text):
        raise ValueError("must be a vault's address, such as https://my-vault.vault.azure.net.")
    return text.rstrip("/").lower()


def _tenant(text: str) -> str:
    if text.lower() in ("common", "organizations", "consumers"):
        raise ValueError(f"must name one tenant by its id or domain; an app cannot sign in to {text.lower()}.")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]*", text):
        raise ValueError("must be a tenant's id (a GUID) or domain, such as contoso.onmicrosoft.com.")
    return text


_GUID = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"


def _guid(text: str) -> str:
    if not re.fullmatch(_GUID, text):
        raise ValueError("must be a client id, a GUID such as 11111111-2222-3333-4444-555555555555.")
    return text


def _vault_name(text: str) -> str:
    if not re.fullmatch(r"[0-9A-Za-z-]{1,127}", text):
        raise ValueError("must be a name in the vault: letters, digits and dashes.")
    return text


def _schedule(text: str) -> str:
    read_schedule(text)  # the timer's trigger reads the text itself
    return text


def _store(text: str) -> str:
    # A connection string would pass for the name of a folder, and be told with it.
    keyed = re.search("AccountKey=|SharedAccessSignature=", text, re.IGNORECASE)
    container = re.fullmatch(r"https://[0-9A-Za-z.-]+\.blob\.[0-9A-Za-z.-]+/[^/?#][^?#]*", text)
    if keyed or ("://" in text and not container):
        raise ValueError("must be a folder or https://ACCOUNT.blob.core.windows.net/CONTAINER/PREFIX, without a key.")
    return text


def _insights(text: str) -> str:
    pair = "[a-z]+=[^=;]+"
    if not re.fullmatch(f"({pair};)*InstrumentationKey={_GUID}(;{pair})*", text, re.IGNORECASE):
        raise ValueError("must be the connection string of an Application Insights resource, as its overview shows it.")
    return text


_PARSERS: dict[str, Callable[[str], Any]] = {
    "GRAPH_CREDENTIAL": _choice(*CREDENTIALS),
    "GRAPH_TENANT_ID": _tenant,
    "GRAPH_CLIENT_ID": _guid,
    "GRAPH_CLOUD": _choice(*CLOUDS),
    "KEY_VAULT_URL": _vault,
    "KEY_VAULT_SECRET_NAME": _vault_name,
    "KEY_VAULT_CERTIFICATE_NAME": _vault_name,
    "AZURE_CLIENT_ID": _guid,
    "CREDENTIAL_WARN_DAYS": _whole(0),
    "USERS_SELECT": _select,
    "CALLER_AUTH": _choice("key", "entra"),
    "HTTP_BUDGET_SECONDS": _seconds,
    "SYNC_BUDGET_SECONDS": _seconds,
    "USERS_STORE": _store,
    "SYNC_SCHEDULE": _schedule,
    "SYNC_LANES": _whole(1),
    "SYNC_PARTITION_USERS": _whole(1),
    "SYNC_INLINE_USERS": _whole(1),
    "SYNC_COUNT_TOLERANCE": _share,
    "SYNC_MAX_SHRINK": _share,
    "FULL_SYNC_DAYS": _whole(1),
    "SNAPSHOT_FORMATS": _formats,
    "SNAPSHOT_KEEP": _whole(1),
    "CHANGES_KEEP_DAYS": _whole(1),
    "APPLICATIONINSIGHTS_CONNECTION_STRING": _insights,
}
