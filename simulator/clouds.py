"""The four national clouds, by the host names they answer under.

Hosts: https://learn.microsoft.com/en-us/entra/identity-platform/authentication-national-cloud (sign-in),
https://learn.microsoft.com/en-us/graph/deployments (Graph),
https://learn.microsoft.com/en-us/azure/key-vault/general/about-keys-secrets-certificates (Key Vault).
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """One national cloud; the two of the US government share a sign-in host and a Key Vault suffix."""

    name: str
    login_host: str
    graph_host: str
    vault_suffix: str
    token_exchange_audience: str
    issuer_host: str

    @property
    def graph_resource(self) -> str:
        """The audience of this cloud's Graph tokens: its root, without a version."""
        return f"https://{self.graph_host}"

    @property
    def vault_resource(self) -> str:
        """The audience of this cloud's Key Vault tokens."""
        return f"https://{self.vault_suffix}"


GLOBAL = Cloud(
    name="global",
    login_host="login.microsoftonline.com",
    graph_host="graph.microsoft.com",
    vault_suffix="vault.azure.net",
    token_exchange_audience="api://AzureADTokenExchange",
    issuer_host="sts.windows.net",
)
US_GOVERNMENT = Cloud(
    name="usgov",
    login_host="login.microsoftonline.us",
    graph_host="graph.microsoft.us",
    vault_suffix="vault.usgovcloudapi.net",
    token_exchange_audience="api://AzureADTokenExchangeUSGov",
    issuer_host="sts.windows.net",
)
US_GOVERNMENT_DOD = Cloud(
    name="usgov-dod",
    login_host="login.microsoftonline.us",
    graph_host="dod-graph.microsoft.us",
    vault_suffix="vault.usgovcloudapi.net",
    token_exchange_audience="api://AzureADTokenExchangeUSGov",
    issuer_host="sts.windows.net",
)
CHINA = Cloud(
    name="china",
    login_host="login.partner.microsoftonline.cn",
    graph_host="microsoftgraph.chinacloudapi.cn",
    vault_suffix="vault.azure.cn",
    token_exchange_audience="api://AzureADTokenExchangeChina",
    issuer_host="sts.chinacloudapi.cn",
)
CLOUDS = {cloud.name: cloud for cloud in (GLOBAL, US_GOVERNMENT, US_GOVERNMENT_DOD, CHINA)}

# Beside Microsoft's own hosts: one more API behind the same tenant, and a custom sign-in domain, as an External ID
# tenant may have. https://learn.microsoft.com/en-us/entra/external-id/customers/concept-custom-url-domain
API_HOST = "api.contoso.example"
API_RESOURCE = "api://contoso-api"
CUSTOM_LOGIN_HOST = "login.contoso.example"

# Storage's audience is the same in every cloud.
# https://learn.microsoft.com/en-us/azure/storage/blobs/authorize-access-azure-active-directory
STORAGE_RESOURCE = "https://storage.azure.com"
# https://learn.microsoft.com/en-us/azure/azure-monitor/app/azure-ad-authentication
MONITOR_RESOURCE = "https://monitor.azure.com"


def login_host_of(host: str) -> str | None:
    """The sign-in host that `host` stands for, or None if it is not one."""
    if host == CUSTOM_LOGIN_HOST:
        return GLOBAL.login_host
    return host if any(cloud.login_host == host for cloud in CLOUDS.values()) else None


def cloud_of_graph(host: str) -> Cloud | None:
    """The cloud whose Graph answers at `host`."""
    return next((cloud for cloud in CLOUDS.values() if cloud.graph_host == host), None)


def cloud_of_vault(host: str) -> Cloud | None:
    """The cloud whose Key Vault suffix `host` ends in; for US government, the first of the two."""
    return next((cloud for cloud in CLOUDS.values() if host.endswith(f".{cloud.vault_suffix}")), None)


def cloud_of_resource(resource: str) -> Cloud | None:
    """The cloud that `resource` belongs to; the global one for what every cloud knows; None if it is unknown."""
    if resource in {STORAGE_RESOURCE, MONITOR_RESOURCE, API_RESOURCE}:
        return GLOBAL
    return next(
        (
            cloud
            for cloud in CLOUDS.values()
            if resource in {cloud.graph_resource, cloud.vault_resource, cloud.token_exchange_audience}
        ),
        None,
    )
