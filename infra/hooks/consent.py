"""Admin consent: granted where whoever deploys may, else left to an administrator; never granted twice."""

import time
from collections.abc import Callable, Mapping

from azcli import AzError, az, rest

MICROSOFT_GRAPH = "00000003-0000-0000-c000-000000000000"
USER_READ_ALL = "df021288-bdef-4463-88db-98f22de89214"
WAITS = (5.0, 10.0, 20.0, 40.0)
"""Seconds between tries: an app that was registered a moment ago is not yet known everywhere in Entra."""


def grant(environment: Mapping[str, str], sleep: Callable[[float], None] = time.sleep) -> str:
    """Grant User.Read.All if it is not granted; returns what was done.

    https://learn.microsoft.com/en-us/graph/api/serviceprincipal-post-approleassignments

    Raises:
        AzError: it could not be granted.
    """
    graph = f"{az('cloud', 'show')['endpoints']['microsoftGraphResourceId'].rstrip('/')}/v1.0"
    for wait in (*WAITS, None):
        try:
            return _grant(graph, environment)
        except AzError as error:
            if error.code == "Authorization_RequestDenied" or wait is None:
                raise
            print(f"Not yet: {error} Trying again in {wait:.0f} seconds.", flush=True)
            sleep(wait)
    raise AssertionError("the last try returns or raises")


def _grant(graph: str, environment: Mapping[str, str]) -> str:
    principal = environment["FUNCTION_IDENTITY_PRINCIPAL_ID"]
    if environment["GRAPH_CREDENTIAL"] != "managed-identity":
        app = environment["GRAPH_CLIENT_ID"]
        principal = rest("get", f"{graph}/servicePrincipals(appId='{app}')?$select=id")["id"]
    assignments = f"{graph}/servicePrincipals/{principal}/appRoleAssignments"
    if any(given["appRoleId"] == USER_READ_ALL for given in rest("get", assignments)["value"]):
        return "User.Read.All is granted."
    resource = rest("get", f"{graph}/servicePrincipals(appId='{MICROSOFT_GRAPH}')?$select=id")["id"]
    rest("post", assignments, {"principalId": principal, "resourceId": resource, "appRoleId": USER_READ_ALL})
    return "User.Read.All is now granted."


def instructions(environment: Mapping[str, str]) -> str:
    """What an administrator does instead; a managed identity has no page of its own to consent on."""
    who = "A Privileged Role Administrator or Global Administrator"
    if environment["GRAPH_CREDENTIAL"] != "managed-identity":
        return f"{who} consents at\n  {environment['GRAPH_ADMIN_CONSENT_URL']}"
    principal = environment["FUNCTION_IDENTITY_PRINCIPAL_ID"]
    return f'{who} grants User.Read.All to the managed identity {principal}: docs/deploy.md, "Consent".'
