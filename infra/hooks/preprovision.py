"""Before anything is created: say at once what would make it fail later, and register what is not registered.

Failures that this prevents come late and say little: an unregistered Microsoft.App ends in "InternalServerError".
"""

import os
import sys
from collections.abc import Mapping

from azcli import AzError, az

PYTHON = "3.13"
PROVIDERS = (
    "Microsoft.App",
    "Microsoft.Insights",
    "Microsoft.KeyVault",
    "Microsoft.ManagedIdentity",
    "Microsoft.Network",
    "Microsoft.OperationalInsights",
    "Microsoft.Storage",
    "Microsoft.Web",
)


def main(environment: Mapping[str, str]) -> int:
    """Check choices, account, resource providers and region; every fault is told."""
    try:
        account = az("account", "show")
        faults = wrong_choices(environment, account) + wrong_account(environment, account)
        if not faults:
            faults = unregistered() + wrong_region(environment.get("AZURE_LOCATION", ""))
    except AzError as error:
        faults = [f"Azure could not be asked; if az is not signed in, run `az login`. ({error})"]
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


def wrong_choices(environment: Mapping[str, str], account: Mapping[str, str]) -> list[str]:
    """What does not go together among the choices of this environment."""
    credential = environment.get("GRAPH_CREDENTIAL") or "federated"
    if credential not in ("secret", "certificate", "federated", "managed-identity"):
        modes = "secret, certificate, federated or managed-identity"
        return [f"GRAPH_CREDENTIAL is {credential!r}: set it to {modes}."]
    # The settings that name the apps registered by hand, for those that this environment needs.
    apps = {
        "GRAPH_CLIENT_ID": credential != "managed-identity",
        "CALLER_CLIENT_ID": environment.get("CALLER_AUTH") == "entra",
    }
    needed = [setting for setting, is_needed in apps.items() if is_needed]
    if environment.get("ENTRA_APP") == "existing":
        return [
            f"ENTRA_APP=existing needs an app's client id: `azd env set {setting} ...` (docs/register.md)."
            for setting in needed
            if not environment.get(setting)
        ]
    existing = "then `azd env set ENTRA_APP existing`" + "".join(f" and `azd env set {name} ...`" for name in needed)
    if needed and account["environmentName"] != "AzureCloud":
        cloud = account["environmentName"]
        return [f"{cloud} has no Microsoft Graph Bicep extension: register by hand (docs/register.md), {existing}."]
    if needed and (environment.get("GRAPH_TENANT_ID") or account["tenantId"]) != account["tenantId"]:
        where = "is not the subscription's tenant, and no app can be created there from here: register it there"
        return [f"GRAPH_TENANT_ID {where} (docs/register.md), {existing}."]
    return []


def wrong_account(environment: Mapping[str, str], account: Mapping[str, str]) -> list[str]:
    """Whether `az` is signed in to what azd deploys to; the hooks go by `az`."""
    subscription = environment.get("AZURE_SUBSCRIPTION_ID") or account["id"]
    tenant = environment.get("AZURE_TENANT_ID") or account["tenantId"]
    if account["tenantId"] != tenant:
        return [f"az is signed in to another tenant ({account['tenantId']}): run `az login --tenant {tenant}`."]
    if account["id"] != subscription:
        return [f"az uses another subscription ({account['id']}): run `az account set --subscription {subscription}`."]
    return []


def unregistered() -> list[str]:
    """Register the resource providers that are not, and tell those that cannot be."""
    query = "[?registrationState=='Registered'].namespace"
    registered = {name.lower() for name in az("provider", "list", "--query", query)}
    faults: list[str] = []
    for name in PROVIDERS:
        if name.lower() in registered:
            continue
        print(f"Registering the resource provider {name}; this can take some minutes.", flush=True)
        try:
            az("provider", "register", "--namespace", name, "--wait")
        except AzError as error:
            faults.append(f"{name} is not registered: an owner runs `az provider register -n {name} --wait`. ({error})")
    return faults


def wrong_region(location: str) -> list[str]:
    """Whether the region offers Flex Consumption with the Python this app is built for."""
    if not location:
        return []
    region = location.lower().replace(" ", "")
    regions = {found["name"] for found in az("functionapp", "list-flexconsumption-locations")}
    if region not in regions:
        return [f"{location} has no Flex Consumption plan. These do: {', '.join(sorted(regions))}."]
    runtimes = az("functionapp", "list-flexconsumption-runtimes", "--location", region, "--runtime", "python")
    versions = sorted({found["version"] for found in runtimes})
    if PYTHON not in versions:
        return [f"{location} offers Python {', '.join(versions)} but not {PYTHON}: choose another region."]
    return []


if __name__ == "__main__":
    sys.exit(main(os.environ))
