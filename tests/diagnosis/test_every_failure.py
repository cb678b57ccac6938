"""Every failure that the simulator can bring about, shown by the check: the right link, and the right remedy."""

import datetime as dt
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import pytest

from entra_users.diagnosis import NAMES
from entra_users.remedies import REMEDIES
from entra_users.remedies_app import CONCERNS, ERRORS
from entra_users.remedies_azure import GRAPH, VAULT
from entra_users.remedies_entra import ENTRA
from entra_users.remedy import Remedy
from simulator import Simulator, client_certificate
from simulator.aadsts import MESSAGES
from simulator.faults import (
    GRAPH as GRAPH_HOST,
)
from simulator.faults import (
    LOGIN,
    NAMED,
    PAGE_KINDS,
    Fault,
    answered,
    connection_reset,
    hang,
    not_json,
    page_fault,
    server_error,
    throttled,
    token_error,
    truncated,
    unreachable,
    vault_throttled,
)
from simulator.faults import (
    VAULT as VAULT_HOST,
)
from tests.diagnosis.conftest import Check, MakeSettings

IDENTITY_HOST = "managed-identity"
NONE: Mapping[str, str] = MappingProxyType({})
AFTER_USERS = ("count", "changes", "advanced queries")


def leave_alone(azure: Simulator) -> None:
    """Change nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What goes wrong, and how it shows: in which link, and with which remedy; None: the app copes."""

    told: str
    link: str
    remedy: Remedy | None
    faults: tuple[Fault, ...] = ()
    change: Callable[[Simulator], object] = leave_alone
    mode: str = "secret"
    settings: Mapping[str, str] = field(default_factory=lambda: NONE)
    warning: bool = False


def days(number: float) -> dt.datetime:
    """So many days from now."""
    return dt.datetime.now(dt.UTC) + dt.timedelta(days=number)


def graph_says(status: int, code: str) -> Fault:
    """Graph answers so, always."""
    return answered(status, json.dumps({"error": {"code": code, "message": "No."}}), host=GRAPH_HOST, times=None)


def use_up(azure: Simulator) -> None:
    """Let other requests of the app have used up what Graph allows it."""
    throttle = azure.state.throttle
    throttle.enabled, throttle.units = True, 10
    throttle.take(azure.entra.application.client_id, azure.entra.tenants[0].id, 100, users=30)


def store_secret(value: str | None = None, **options: Any) -> Callable[[Simulator], object]:
    """Add a version to the secret in the vault."""
    return lambda azure: azure.vaults["contoso"].set_secret(
        "graph-client-secret", value or azure.entra.application.secrets[0].value, **options
    )


def store_certificate(value: str, **options: Any) -> Callable[[Simulator], object]:
    """Add a version to the certificate in the vault that is none."""
    return lambda azure: azure.vaults["contoso"].set_secret("graph-client-certificate", value, **options)


IDENTITY = [
    Case(
        told="the identity is not assigned",
        change=lambda azure: azure.entra.user_identities.clear(),
        link="managed identity",
        remedy=ERRORS["IdentityError"],
    ),
    Case(
        told="there is no system-assigned identity",
        change=lambda azure: setattr(azure.entra, "system_identity", None),
        settings={"AZURE_CLIENT_ID": ""},
        link="managed identity",
        remedy=ERRORS["IdentityError"],
    ),
    Case(
        told="the identity's endpoint is not one",
        faults=(answered(200, "<html>", host=IDENTITY_HOST, times=None),),
        mode="managed-identity",
        link="managed identity",
        remedy=ERRORS["IdentityError"],
    ),
    Case(
        told="the identity's endpoint refuses",
        faults=(answered(403, "{}", host=IDENTITY_HOST, times=None),),
        mode="federated",
        link="managed identity",
        remedy=ERRORS["IdentityError"],
    ),
]

KEY_VAULT = [
    Case(
        told="the identity may not read secrets",
        change=lambda azure: azure.vaults["contoso"].readers.clear(),
        link="Key Vault",
        remedy=VAULT["ForbiddenByRbac"],
    ),
    Case(
        told="the firewall keeps the app out",
        change=lambda azure: setattr(azure.vaults["contoso"], "firewall", True),
        link="Key Vault",
        remedy=VAULT["ForbiddenByFirewall"],
    ),
    Case(
        told="the secret was deleted",
        change=lambda azure: azure.vaults["contoso"].delete_secret("graph-client-secret"),
        link="Key Vault",
        remedy=VAULT["SecretNotFound"],
    ),
    Case(
        told="the secret is disabled",
        change=store_secret(enabled=False),
        link="Key Vault",
        remedy=VAULT["SecretDisabled"],
    ),
    Case(
        told="the certificate was deleted",
        change=lambda azure: azure.vaults["contoso"].delete_secret("graph-client-certificate"),
        mode="certificate",
        link="Key Vault",
        remedy=VAULT["SecretNotFound"],
    ),
    Case(
        told="what is stored is no certificate",
        change=store_certificate("no certificate", content_type="text/plain"),
        mode="certificate",
        link="Key Vault",
        remedy=ERRORS["VaultError"],
    ),
    Case(
        told="there is no such vault",
        settings={"KEY_VAULT_URL": "https://fabrikam.vault.azure.net"},
        link="Key Vault",
        remedy=ERRORS["VaultError"],
    ),
    Case(
        told="the vault cannot be reached",
        faults=(unreachable(host=VAULT_HOST, times=None),),
        link="Key Vault",
        remedy=ERRORS["VaultError"],
    ),
    Case(
        told="the vault throttles",
        faults=(vault_throttled("0.01", times=None),),
        link="Key Vault",
        remedy=VAULT["Throttled"],
    ),
    Case(
        told="the vault has trouble",
        faults=(answered(503, "{}", host=VAULT_HOST, times=None),),
        link="Key Vault",
        remedy=ERRORS["Unavailable"],
    ),
    Case(
        told="the vault does not accept the identity's token",
        faults=(answered(401, '{"error":{"code":"Unauthorized"}}', host=VAULT_HOST, times=None),),
        link="Key Vault",
        remedy=VAULT["Unauthorized"],
    ),
    Case(
        told="the secret expires soon",
        change=store_secret(expires_on=days(7)),
        link="Key Vault",
        remedy=CONCERNS["credentialExpires"],
        warning=True,
    ),
    Case(
        told="the secret's date in the vault has passed",
        change=store_secret(expires_on=days(-7)),
        link="Key Vault",
        remedy=CONCERNS["credentialExpires"],
        warning=True,
    ),
    Case(
        told="the certificate expires soon",
        change=lambda azure: (
            azure.entra.application.certificates.append(client_certificate("short", days=7)),
            azure.vaults["contoso"].set_certificate(
                "graph-client-certificate", azure.entra.application.certificates[-1]
            ),
        ),
        mode="certificate",
        link="Key Vault",
        remedy=CONCERNS["credentialExpires"],
        warning=True,
    ),
    Case(told="the secret has no date", change=store_secret(), link="Key Vault", remedy=None),
]

TOKEN = [
    Case(
        told="the vault holds another secret",
        change=store_secret("not the secret"),
        link="token",
        remedy=ENTRA["AADSTS7000215"],
    ),
    Case(
        told="the secret has expired",
        change=lambda azure: azure.entra.application.expire_secrets(),
        link="token",
        remedy=ENTRA["AADSTS7000222"],
    ),
    Case(
        told="the app is disabled",
        change=lambda azure: setattr(azure.entra.application, "disabled", True),
        link="token",
        remedy=ENTRA["AADSTS7000112"],
    ),
    Case(
        told="there is no such app",
        change=lambda azure: azure.entra.applications.clear(),
        link="token",
        remedy=ENTRA["AADSTS700016"],
    ),
    Case(
        told="there is no such tenant",
        settings={"GRAPH_TENANT_ID": "fabrikam.example"},
        link="token",
        remedy=ENTRA["AADSTS90002"],
    ),
    Case(
        told="the certificate is not registered",
        change=lambda azure: azure.entra.application.certificates.clear(),
        mode="certificate",
        link="token",
        remedy=ENTRA["AADSTS700027"],
    ),
    Case(
        told="the app's clock is behind",
        change=lambda azure: setattr(azure.state, "clock", lambda: time.time() + 3600),
        mode="certificate",
        link="token",
        remedy=ENTRA["AADSTS700024"],
    ),
    Case(
        told="the identity is not trusted",
        change=lambda azure: azure.entra.application.federated_credentials.clear(),
        mode="federated",
        link="token",
        remedy=ENTRA["AADSTS700211"],
    ),
    Case(
        told="Entra cannot be reached",
        faults=(unreachable(host=LOGIN, times=None),),
        link="token",
        remedy=ERRORS["Unavailable"],
    ),
    Case(
        told="another answers in Entra's place",
        faults=(not_json(host=LOGIN, times=None),),
        link="token",
        remedy=ERRORS["TokenError"],
    ),
    *(
        Case(
            told=f"Entra refuses with {code}",
            faults=(token_error(code, times=None),),
            link="token",
            remedy=ENTRA[f"AADSTS{code}"],
        )
        for code in sorted(MESSAGES)
    ),
]

PERMISSIONS = [
    Case(
        told="consent is missing",
        change=lambda azure: azure.entra.application.graph_roles.clear(),
        link="permissions",
        remedy=GRAPH["Authorization_RequestDenied"],
    ),
    Case(
        told="a property needs another permission",
        settings={"USERS_SELECT": "displayName,employeeLeaveDateTime"},
        link="permissions",
        remedy=GRAPH["Authentication_MSGraphPermissionMissing"],
    ),
    Case(
        told="that permission is granted",
        change=lambda azure: azure.entra.application.graph_roles.add("User-LifeCycleInfo.Read.All"),
        settings={"USERS_SELECT": "displayName,employeeLeaveDateTime"},
        link="permissions",
        remedy=None,
    ),
    Case(
        told="the app may do anything",
        change=lambda azure: azure.entra.application.graph_roles.add("Directory.ReadWrite.All"),
        link="permissions",
        remedy=CONCERNS["tooManyPermissions"],
        warning=True,
    ),
]

USERS = [
    Case(
        told="the tenant is empty",
        change=lambda azure: azure.state.reset(0),
        link="users",
        remedy=CONCERNS["noUsers"],
        warning=True,
    ),
    Case(
        told="an extension does not exist",
        settings={"USERS_SELECT": "displayName,extension_0_badge"},
        link="users",
        remedy=GRAPH["BadRequest"],
    ),
    Case(
        told="Graph refuses the token",
        faults=(graph_says(401, "InvalidAuthenticationToken"),),
        link="users",
        remedy=GRAPH["InvalidAuthenticationToken"],
    ),
    Case(
        told="Graph throttles, and says for how long",
        faults=(throttled("30", times=None),),
        link="users",
        remedy=GRAPH["TooManyRequests"],
    ),
    Case(
        told="the tenant's limit is used up",
        change=use_up,
        link="users",
        remedy=GRAPH["TooManyRequests"],
    ),
    *(
        Case(told=f"Graph answers {status}", faults=(server_error(status, times=None),), link="users", remedy=remedy)
        for status, remedy in [
            (500, GRAPH["InternalServerError"]),
            (502, GRAPH["BadGateway"]),
            (503, GRAPH["ServiceUnavailable"]),
            (504, GRAPH["GatewayTimeout"]),
            (509, ERRORS["Unavailable"]),
        ]
    ),
    Case(
        told="Graph cannot be reached",
        faults=(unreachable(times=None),),
        link="users",
        remedy=ERRORS["Unavailable"],
    ),
    Case(
        told="the connection is reset",
        faults=(connection_reset(times=None),),
        link="users",
        remedy=ERRORS["Unavailable"],
    ),
    Case(
        told="the answer is cut off",
        faults=(truncated(times=None),),
        link="users",
        remedy=ERRORS["Unavailable"],
    ),
    Case(told="no answer comes", faults=(hang(times=None),), link="users", remedy=ERRORS["TimedOut"]),
    Case(
        told="another answers in Graph's place",
        faults=(not_json(times=None),),
        link="users",
        remedy=ERRORS["MalformedPage"],
    ),
    *(
        Case(told=f"a page of users: {kind}", faults=(page_fault(kind),), link="users", remedy=remedy)
        for kind, remedy in [
            ("no-value", ERRORS["MalformedPage"]),
            ("cut-json", ERRORS["MalformedPage"]),
            ("foreign-next-link", ERRORS["BrokenPaging"]),
            ("empty-page", None),
            ("duplicate-user", None),
        ]
    ),
    Case(
        told="a page token expires again and again",
        faults=(page_fault("empty-page", times=None), page_fault("expired-page-token", times=None)),
        link="users",
        remedy=GRAPH["Directory_ExpiredPageToken"],
    ),
]

CAPABILITIES = [
    Case(
        told="Graph's count is no number",
        faults=(answered(200, "many", host=GRAPH_HOST, path="/users/.count$"),),
        link="count",
        remedy=ERRORS["MalformedPage"],
    ),
    Case(
        told="the changes lead back to themselves",
        faults=(page_fault("repeat-next-link", path="/delta"),),
        link="changes",
        remedy=ERRORS["BrokenPaging"],
    ),
    *(
        Case(
            told=f"the changes are not known any more: {kind}",
            faults=(page_fault("empty-page", path="/delta"), page_fault(kind)),
            link="changes",
            remedy=GRAPH[code],
        )
        for kind, code in [
            ("delta-gone", "resyncRequired"),
            ("resync-required", "resyncRequired"),
            ("sync-state-not-found", "syncStateNotFound"),
        ]
    ),
    Case(
        told="advanced queries are not answered",
        faults=(page_fault("no-value", skip=1, path="/users$"),),
        link="advanced queries",
        remedy=ERRORS["MalformedPage"],
    ),
]

CASES = [*IDENTITY, *KEY_VAULT, *TOKEN, *PERMISSIONS, *USERS, *CAPABILITIES]


@pytest.mark.parametrize("case", [pytest.param(case, id=case.told) for case in CASES])
def test_a_failure_is_shown_at_its_link_with_its_remedy(
    tenant: Simulator, make_settings: MakeSettings, check: Check, case: Case
) -> None:
    case.change(tenant)
    tenant.faults.plan(*case.faults)
    settings = make_settings(case.mode, **case.settings)
    diagnosis = check(settings)
    shown = {link.name: link.state for link in diagnosis.links}
    assert shown == expected(case)
    link = next(link for link in diagnosis.links if link.name == case.link)
    remedy = case.remedy or Remedy("", "", "")
    assert (link.meaning, link.who) == (remedy.meaning, remedy.who)
    assert bool(link.remedy) is bool(remedy.how)
    assert "{" not in link.remedy


def expected(case: Case) -> dict[str, str]:
    """The state of every link: those that need the failed one are not reached, all others hold."""
    names = [name for name in NAMES if name != "Key Vault" or case.mode in ("secret", "certificate")]
    states = dict.fromkeys(names, "ok") | {"snapshot": "warning"}
    if case.remedy is None:
        return states
    states[case.link] = "warning" if case.warning else "failed"
    if not case.warning and case.link not in AFTER_USERS:
        later = names[names.index(case.link) + 1 : names.index("store")]
        states |= dict.fromkeys(later, "not reached")
    return states


def test_the_cases_are_all_that_the_simulator_can_plan() -> None:
    made = dict.fromkeys(NAMED, 0)
    for case in CASES:
        for fault in case.faults:
            made[maker_of(fault)] += 1
    assert [maker for maker, times in made.items() if not times] == []
    assert {fault.kind for case in CASES for fault in case.faults if fault.kind} - {"unreachable"} == PAGE_KINDS
    assert {case.remedy for case in TOKEN} >= {REMEDIES[f"AADSTS{code}"] for code in MESSAGES}


def maker_of(fault: Fault) -> str:
    """Which of the simulator's functions makes such faults."""
    if fault.kind is not None:
        return "unreachable" if fault.kind == "unreachable" else "page_fault"
    broken = {"hang": fault.hang, "connection_reset": fault.reset, "truncated": fault.truncate is not None}
    for maker, does in broken.items():
        if does:
            return maker
    if fault.headers.get("content-type") == "text/html":
        return "not_json"
    body = fault.body.decode()
    marks = {"vault_throttled": '"Throttled"', "throttled": '"TooManyRequests"', "token_error": "error_codes"}
    marks["server_error"] = "The service could not answer."
    return next((maker for maker, mark in marks.items() if mark in body), "answered")
