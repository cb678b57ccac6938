"""After provisioning: the app gets its secret or certificate, and its admin consent.

Safe to run again at any time (`azd hooks run postprovision`): it does only what is missing, and renews what expires.
"""

import os
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import consent
import credentials
from azcli import AzError


def main(
    environment: Mapping[str, str], *, now: datetime | None = None, sleep: Callable[[float], None] = time.sleep
) -> int:
    """Provide the credential, then ask for consent; that consent is missing fails nothing."""
    try:
        for done in provide(environment, now or datetime.now(UTC)):
            print(done, flush=True)
    except AzError as error:
        print(f"The app's credential could not be provided: {error}\n{remedy(environment)}", file=sys.stderr)
        return 1
    if environment["GRAPH_TENANT_ID"] != environment["AZURE_TENANT_ID"]:
        print(f"The users' tenant is another one than the subscription's.\n{consent.instructions(environment)}")
        return 0
    try:
        print(consent.grant(environment, sleep))
    except AzError as error:
        print(f"Consent is still missing: {error}\n{consent.instructions(environment)}")
    return 0


def provide(environment: Mapping[str, str], now: datetime) -> list[str]:
    """Do what the credential mode needs; another team's app is never changed, it is said what that team does."""
    mode, ours = environment["GRAPH_CREDENTIAL"], environment["ENTRA_APP"] == "create"
    vault = environment["KEY_VAULT_NAME"]
    if mode == "secret":
        if ours:
            return [credentials.provide_secret(environment, now)]
        name = environment["KEY_VAULT_SECRET_NAME"]
        return [
            f"Put the app's client secret into the vault {vault} as {name}: docs/deploy.md, \"Another team's app\"."
        ]
    if mode == "certificate":
        made = credentials.provide_certificate(environment, now)
        if ours:
            return [made, credentials.register_certificate(environment)]
        name = environment["KEY_VAULT_CERTIFICATE_NAME"]
        public = f"az keyvault certificate download --vault-name {vault} --name {name} --encoding PEM --file app.pem"
        return [made, f"The app's owner registers its public half on the app; get it with `{public}`."]
    if mode == "federated" and not ours:
        subject = environment["FUNCTION_IDENTITY_PRINCIPAL_ID"]
        return [f"The app's owner adds a federated credential (scenario: managed identity) for the identity {subject}."]
    return []


def remedy(environment: Mapping[str, str]) -> str:
    """What helps against the two usual causes."""
    if environment["GRAPH_CREDENTIAL"] == "certificate":
        return (
            "A role that was given a moment ago takes some minutes to work, and a vault with private networking is"
            " reached from its network only. Then run `azd hooks run postprovision` again."
        )
    return "Only an owner of the app registration may add a secret. Then run `azd hooks run postprovision` again."


if __name__ == "__main__":
    sys.exit(main(os.environ))
