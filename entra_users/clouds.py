"""The national clouds: where each one's Entra, Graph and Key Vault answer.

Tokens do not cross clouds: an app works only in the cloud it is registered in.
https://learn.microsoft.com/en-us/graph/deployments
https://learn.microsoft.com/en-us/entra/identity-platform/authentication-national-cloud
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """One cloud's addresses, without trailing slashes."""

    authority: str
    graph: str
    vault_suffix: str
    exchange_audience: str
    """Audience of a managed identity's token that stands in for a client secret."""
    portal: str

    @property
    def graph_scope(self) -> str:
        """The scope of an app-only Graph token: all that was consented."""
        return f"{self.graph}/.default"


_USGOV = "https://login.microsoftonline.us"

CLOUDS = {
    "global": Cloud(
        authority="https://login.microsoftonline.com",
        graph="https://graph.microsoft.com",
        vault_suffix=".vault.azure.net",
        exchange_audience="api://AzureADTokenExchange",
        portal="https://entra.microsoft.com",
    ),
    "usgov": Cloud(
        authority=_USGOV,
        graph="https://graph.microsoft.us",
        vault_suffix=".vault.usgovcloudapi.net",
        exchange_audience="api://AzureADTokenExchangeUSGov",
        portal="https://entra.microsoft.us",
    ),
    "usgov-dod": Cloud(
        authority=_USGOV,
        graph="https://dod-graph.microsoft.us",
        vault_suffix=".vault.usgovcloudapi.net",
        exchange_audience="api://AzureADTokenExchangeUSGov",
        portal="https://entra.microsoft.us",
    ),
    "china": Cloud(
        authority="https://login.partner.microsoftonline.cn",
        graph="https://microsoftgraph.chinacloudapi.cn",
        vault_suffix=".vault.azure.cn",
        exchange_audience="api://AzureADTokenExchangeChina",
        portal="https://entra.microsoftonline.cn",
    ),
}
"""The clouds by the name that `GRAPH_CLOUD` gives them."""
