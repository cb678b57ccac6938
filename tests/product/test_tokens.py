"""Access tokens in all four credential modes, over TLS: Key Vault, Entra and the managed identity of the simulator."""

import datetime as dt
import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from entra_users.connection import connect, token_source
from entra_users.errors import AccessDenied, EntraUsersError, IdentityError, TokenError, Unavailable
from entra_users.graph import Graph
from entra_users.identity import AccessToken
from entra_users.settings import Settings
from entra_users.tokens import AppRegistration, ClientCredential, Tokens
from entra_users.users import read_users, users_url
from simulator import Fault, Simulator, client_certificate
from simulator.faults import answered, connection_reset, server_error, token_error, truncated
from simulator.vault import PEM, PKCS12
from tests.product.conftest import GRAPH

MODES = ["secret", "certificate", "federated", "managed-identity"]
LOGIN = "login.microsoftonline.com"
URL = users_url(GRAPH, ["id"])


def read_settings(azure: Simulator, mode: str, **changed: str) -> Settings:
    return Settings.read(azure.app_settings(mode) | changed)


def grant_identity(azure: Simulator) -> None:
    """What mode `managed-identity` needs beside the settings: the permission on the identity itself."""
    azure.entra.identity.graph_roles.add("User.Read.All")


def read_all(graph: Graph) -> int:
    return sum(map(len, read_users(graph, URL)))


def asked(azure: Simulator, host: str = LOGIN, path: str = "") -> list[int | None]:
    return [each.status for each in azure.requests if each.host == host and each.path.endswith(path)]


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.startswith("entra_users")]


def lose_secrets(azure: Simulator) -> None:
    azure.entra.application.secrets.clear()


def expire_secrets(azure: Simulator) -> None:
    azure.entra.application.expire_secrets()


def disable(azure: Simulator) -> None:
    azure.entra.application.disabled = True


def remove_app(azure: Simulator) -> None:
    azure.entra.applications.clear()


def plan(code: int, azure: Simulator) -> None:
    azure.faults.plan(token_error(code))


def days_ahead(days: float) -> dt.datetime:
    return dt.datetime.now(dt.UTC) + dt.timedelta(days=days)


@pytest.mark.parametrize("mode", MODES)
def test_every_credential_reads_all_users(azure: Simulator, mode: str) -> None:
    azure.reset(users=1500)
    grant_identity(azure)
    assert read_all(connect(read_settings(azure, mode), budget=10.0)) == 1500


@pytest.mark.parametrize("content_type", [PKCS12, PEM])
def test_a_certificate_signs_in_from_either_form_that_key_vault_keeps(azure: Simulator, content_type: str) -> None:
    azure.reset(users=3)
    azure.vaults["contoso"].set_certificate(
        "graph-client-certificate", azure.entra.application.certificates[0], content_type=content_type
    )
    assert read_all(connect(read_settings(azure, "certificate"), budget=10.0)) == 3


def test_a_federated_credential_needs_no_vault_and_a_managed_identity_no_entra_app(azure: Simulator) -> None:
    grant_identity(azure)
    token_source(read_settings(azure, "federated")).acquire()
    token_source(read_settings(azure, "managed-identity")).acquire()
    assert [each.host for each in azure.requests] == [LOGIN, "managed-identity", LOGIN, "managed-identity"]


def test_a_managed_identity_may_be_the_system_assigned_one(azure: Simulator) -> None:
    token_source(read_settings(azure, "managed-identity", AZURE_CLIENT_ID="")).acquire()
    assert [each.query for each in azure.requests] == ["api-version=2019-08-01&resource=https://graph.microsoft.com"]


def test_the_secret_may_have_another_name(azure: Simulator) -> None:
    azure.vaults["contoso"].set_secret("other", azure.entra.application.add_secret())
    azure.vaults["contoso"].delete_secret("graph-client-secret")
    token_source(read_settings(azure, "secret", KEY_VAULT_SECRET_NAME="other")).acquire()


def test_a_new_version_replaces_a_secret_that_expired_without_a_restart(
    azure: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    source = token_source(read_settings(azure, "secret"))
    source.acquire()
    azure.entra.application.expire_secrets()
    azure.vaults["contoso"].set_secret("graph-client-secret", azure.entra.application.add_secret())
    source.acquire()
    assert asked(azure, path="/token") == [200, 401, 200]
    assert warnings_of(caplog) == ["Entra refused the secret 'graph-client-secret'; reading it again."]


def test_a_new_version_replaces_a_secret_that_was_removed_without_a_restart(azure: Simulator) -> None:
    source = token_source(read_settings(azure, "secret"))
    source.acquire()
    azure.entra.application.secrets.clear()
    azure.vaults["contoso"].set_secret("graph-client-secret", azure.entra.application.add_secret())
    source.acquire()
    assert asked(azure, path="/token") == [200, 401, 200]


def test_a_new_version_replaces_a_certificate_without_a_restart(azure: Simulator) -> None:
    source = token_source(read_settings(azure, "certificate"))
    source.acquire()
    following = client_certificate("following")
    azure.entra.application.certificates[:] = [following]
    azure.vaults["contoso"].set_certificate("graph-client-certificate", following, content_type=PEM)
    source.acquire()
    assert asked(azure, path="/token") == [200, 401, 200]


def test_the_vault_is_read_again_once_and_then_the_refusal_said(azure: Simulator) -> None:
    source = token_source(read_settings(azure, "secret"))
    azure.entra.application.expire_secrets()
    with pytest.raises(TokenError) as caught:
        source.acquire()
    assert caught.value.code == "AADSTS7000222"
    assert asked(azure, path="/token") == [401, 401]


def test_after_a_refusal_entra_is_asked_anew(azure: Simulator) -> None:
    """MSAL replays a refusal for a minute."""
    source = token_source(read_settings(azure, "secret"))
    azure.entra.application.disabled = True
    with pytest.raises(TokenError):
        source.acquire()
    azure.entra.application.disabled = False
    source.acquire()
    assert asked(azure, path="/token") == [400, 200]


def test_a_secret_that_ends_within_the_days_set_is_warned_of(
    azure: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    secret, ends = azure.entra.application.secrets[0].value, days_ahead(29)
    azure.vaults["contoso"].set_secret("graph-client-secret", secret, expires_on=ends)
    token_source(read_settings(azure, "secret")).acquire()
    token_source(read_settings(azure, "secret", CREDENTIAL_WARN_DAYS="28")).acquire()
    app = azure.entra.application.client_id
    assert warnings_of(caplog) == [
        f"The secret 'graph-client-secret' of app {app} expires on {ends.date()}: renew it before then."
    ]


def test_the_warning_comes_with_every_token_since_a_process_may_live_for_weeks(
    azure: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    secret = azure.entra.application.secrets[0].value
    azure.vaults["contoso"].set_secret("graph-client-secret", secret, expires_on=days_ahead(5))
    source = token_source(read_settings(azure, "secret"))
    source.acquire()
    source.acquire()
    assert len(warnings_of(caplog)) == 2


def test_a_certificate_that_ends_soon_is_warned_of(azure: Simulator, caplog: pytest.LogCaptureFixture) -> None:
    short = client_certificate("short", days=10)
    azure.entra.application.certificates.append(short)
    azure.vaults["contoso"].set_certificate("graph-client-certificate", short)
    token_source(read_settings(azure, "certificate")).acquire()
    assert len(warnings_of(caplog)) == 1
    assert (
        f"certificate 'graph-client-certificate' of app {azure.entra.application.client_id} expires on"
        in (warnings_of(caplog)[0])
    )


def test_what_ends_late_or_never_is_not_warned_of(azure: Simulator, caplog: pytest.LogCaptureFixture) -> None:
    azure.vaults["contoso"].set_secret("graph-client-secret", azure.entra.application.secrets[0].value)
    for mode in ("secret", "certificate", "federated"):
        token_source(read_settings(azure, mode)).acquire()
    assert warnings_of(caplog) == []


@pytest.mark.parametrize("mode", MODES)
def test_eight_threads_acquire_one_token(azure: Simulator, mode: str) -> None:
    azure.reset(users=3)
    grant_identity(azure)
    graph = connect(read_settings(azure, mode), budget=10.0)
    threads = [threading.Thread(target=read_all, args=(graph,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert asked(azure, "graph.microsoft.com") == [200] * 8
    assert len(azure.entra._issued) == {"secret": 2, "certificate": 2, "federated": 2, "managed-identity": 1}[mode]


def test_a_token_is_kept_until_five_minutes_before_its_end(azure: Simulator) -> None:
    azure.entra.token_lifetime = 3600
    now = [time.time()]
    tokens = Tokens(token_source(read_settings(azure, "secret")), clock=lambda: now[0])
    first = tokens.get()
    now[0] += 3600 - 310
    assert tokens.get() == first
    now[0] += 20
    assert tokens.get() != first
    assert asked(azure, path="/token") == [200, 200]


def test_while_entra_is_down_the_old_token_serves_to_its_end(azure: Simulator) -> None:
    azure.entra.token_lifetime = 3600
    now = [time.time()]
    tokens = Tokens(token_source(read_settings(azure, "secret")), clock=lambda: now[0])
    first = tokens.get()
    azure.faults.plan(server_error(503, host=LOGIN, times=None))
    now[0] += 3600 - 200
    assert tokens.get() == first
    now[0] += 201
    with pytest.raises(Unavailable):
        tokens.get()
    azure.faults.clear()
    assert tokens.get() != first


@pytest.mark.parametrize("mode", MODES)
def test_a_token_that_graph_refuses_is_replaced_and_the_read_goes_on(azure: Simulator, mode: str) -> None:
    azure.reset(users=3)
    grant_identity(azure)
    graph = connect(read_settings(azure, mode), budget=10.0)
    assert read_all(graph) == 3
    azure.entra.revoke_tokens()
    assert read_all(graph) == 3
    assert asked(azure, "graph.microsoft.com") == [200, 401, 200]


def test_a_permission_granted_while_the_app_runs_counts_within_a_minute(azure: Simulator) -> None:
    azure.reset(users=3)
    granted = {*azure.entra.application.graph_roles}
    azure.entra.application.graph_roles.clear()
    now = [time.time()]
    tokens = Tokens(token_source(read_settings(azure, "secret")), clock=lambda: now[0])
    graph = Graph(GRAPH, tokens, budget=10.0)
    for seconds in (0, 59):
        now[0] += seconds
        with pytest.raises(AccessDenied):
            read_all(graph)
    assert asked(azure, path="/token") == [200]
    azure.entra.application.graph_roles |= granted
    now[0] += 1
    with pytest.raises(AccessDenied):
        read_all(graph)
    assert read_all(graph) == 3
    assert asked(azure, path="/token") == [200, 200]


def test_a_refused_token_is_forgotten_only_while_it_is_the_current_one(azure: Simulator) -> None:
    tokens = Tokens(token_source(read_settings(azure, "secret")))
    first = tokens.get()
    tokens.reject(first)
    second = tokens.get()
    tokens.reject(first)  # by a thread that sent the first one and was slower
    assert first != second == tokens.get()


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lose_secrets, "AADSTS7000215"),
        (expire_secrets, "AADSTS7000222"),
        (disable, "AADSTS7000112"),
        (remove_app, "AADSTS700016"),
        (partial(plan, 53003), "AADSTS53003"),
        (partial(plan, 500011), "AADSTS500011"),
    ],
)
def test_a_refusal_of_a_secret_names_its_cause(azure: Simulator, spoil: Callable[[Simulator], Any], code: str) -> None:
    source = token_source(read_settings(azure, "secret"))
    spoil(azure)
    with pytest.raises(TokenError) as caught:
        source.acquire()
    app = azure.entra.application.client_id
    assert str(caught.value).startswith(
        f"Entra gave no token to app {app} with its secret 'graph-client-secret': {code}: "
    )
    assert "Trace ID" not in str(caught.value)
    assert (caught.value.code, bool(caught.value.request_id)) == (code, True)


def test_a_certificate_that_is_not_registered_is_refused_by_entras_code(azure: Simulator) -> None:
    azure.entra.application.certificates[:] = [client_certificate("another")]
    with pytest.raises(TokenError) as caught:
        token_source(read_settings(azure, "certificate")).acquire()
    assert caught.value.code == "AADSTS700027"
    assert asked(azure, path="/token") == [401, 401]


def test_an_identity_that_is_not_trusted_is_refused_by_entras_code(azure: Simulator) -> None:
    azure.entra.application.federated_credentials.clear()
    with pytest.raises(TokenError, match=r"with its managed identity 698cd753-.*: AADSTS70021\d"):
        token_source(read_settings(azure, "federated")).acquire()


@pytest.mark.parametrize("mode", ["secret", "certificate", "federated"])
def test_an_unknown_tenant_is_named(azure: Simulator, mode: str) -> None:
    with pytest.raises(TokenError) as caught:
        token_source(read_settings(azure, mode, GRAPH_TENANT_ID="nowhere.example")).acquire()
    assert caught.value.code == "AADSTS90002"
    assert "Entra does not know https://login.microsoftonline.com/nowhere.example" in str(caught.value)


@pytest.mark.parametrize("mode", ["federated", "managed-identity"])
@pytest.mark.parametrize(
    "fault", [None, answered(200, "<html>", host="managed-identity"), answered(403, host="managed-identity")]
)
def test_a_managed_identity_that_gives_no_token_is_named(azure: Simulator, mode: str, fault: Fault | None) -> None:
    wrong = "11111111-2222-3333-4444-555555555555"
    if fault:
        azure.faults.plan(fault)
    with pytest.raises(IdentityError, match="The managed identity gave no token for"):
        token_source(read_settings(azure, mode, AZURE_CLIENT_ID=wrong)).acquire()


@pytest.mark.parametrize(
    "body", ["{}", '{"error": "invalid_request"}', '{"error_codes": [], "error_description": "Why."}']
)
def test_a_refusal_without_a_code_says_what_there_is(azure: Simulator, body: str) -> None:
    azure.faults.plan(answered(400, body, host=LOGIN, path="/token$"))
    with pytest.raises(TokenError) as caught:
        token_source(read_settings(azure, "secret")).acquire()
    assert str(caught.value).rstrip(")").split(": ", 1)[1] in (
        "no reason.",
        "invalid_request (code invalid_request",
        "Why.",
    )


@pytest.mark.parametrize("path", ["openid-configuration$", "/token$"])
@pytest.mark.parametrize(
    ("fault", "kind", "status"),
    [
        (answered(429, "{}", {"Retry-After": "7"}), Unavailable, 429),
        (answered(500), Unavailable, 500),
        (answered(503, "{}"), Unavailable, 503),
        (connection_reset(), Unavailable, None),
        (truncated(20), Unavailable, None),
        (answered(403, "<html>"), TokenError, 403),
        (answered(200, "<html>"), TokenError, 200),
        (answered(200, "[]"), TokenError, 200),
        (answered(404), TokenError, 404),
    ],
)
def test_answers_that_are_not_entras_are_named_and_the_next_one_is_taken(
    azure: Simulator, path: str, fault: Fault, kind: type[EntraUsersError], status: int | None
) -> None:
    azure.faults.plan(
        Fault(
            host=LOGIN,
            path=path,
            status=fault.status,
            headers=fault.headers,
            body=fault.body,
            reset=fault.reset,
            truncate=fault.truncate,
        )
    )
    source = token_source(read_settings(azure, "secret"))
    with pytest.raises(kind) as caught:
        source.acquire()
    assert (type(caught.value), caught.value.status) == (kind, status)
    assert LOGIN in str(caught.value)
    assert caught.value.retry_after == (7.0 if status == 429 else None)
    source.acquire()


def test_a_token_without_a_lifetime_is_used_once(azure: Simulator) -> None:
    token = {"access_token": "opaque-and-short", "token_type": "Bearer"}
    azure.faults.plan(answered(200, str(token).replace("'", '"'), host=LOGIN, path="/token$"))
    acquired = token_source(read_settings(azure, "secret")).acquire()
    assert acquired.value == "opaque-and-short"
    assert acquired.expires_on <= time.time()


def test_a_discovery_document_without_endpoints_is_no_tenants(azure: Simulator) -> None:
    azure.faults.plan(answered(200, "{}", host=LOGIN))
    with pytest.raises(TokenError, match="Entra does not know"):
        token_source(read_settings(azure, "secret")).acquire()


@pytest.mark.parametrize("code", [90033, 90055, 50033])
def test_trouble_that_passes_is_not_the_apps_fault(azure: Simulator, code: int) -> None:
    azure.faults.plan(token_error(code, status=400))
    with pytest.raises(Unavailable) as caught:
        token_source(read_settings(azure, "secret")).acquire()
    assert caught.value.code == f"AADSTS{code}"


def test_a_read_outlasts_trouble_of_entra_within_its_budget(
    azure: Simulator, make_graph: Callable[..., Graph], clock: Any
) -> None:
    azure.reset(users=3)
    azure.faults.plan(server_error(503, "7", host=LOGIN, times=2), token_error(90033), connection_reset(host=LOGIN))
    graph = make_graph(tokens=Tokens(token_source(read_settings(azure, "secret"))))
    assert read_all(graph) == 3
    assert clock.slept == [7.0, 7.0, 2.0, 4.0]


def test_a_read_ends_when_entra_stays_down(azure: Simulator, make_graph: Callable[..., Graph], clock: Any) -> None:
    azure.faults.plan(server_error(503, host=LOGIN, times=None))
    with pytest.raises(Unavailable) as caught:
        read_all(make_graph(tokens=Tokens(token_source(read_settings(azure, "secret"))), budget=10.0))
    assert str(caught.value) == (
        "Entra (login.microsoftonline.com) did not answer properly when asked for a token. Check the network to it."
        " (status 503)"
    )
    assert clock.slept == [0.5, 1.0, 2.0, 4.0]


def test_a_wrong_secret_is_said_at_once(azure: Simulator, make_graph: Callable[..., Graph], clock: Any) -> None:
    azure.entra.application.secrets.clear()
    with pytest.raises(TokenError):
        read_all(make_graph(tokens=Tokens(token_source(read_settings(azure, "secret")))))
    assert clock.slept == []


def test_no_repr_holds_a_token_or_a_credential(azure: Simulator) -> None:
    secret = azure.entra.application.secrets[0].value
    credential = ClientCredential(value=secret, name="secret 'a'")
    assert repr(credential) == "ClientCredential(name=\"secret 'a'\", expires_on=None)"
    assert repr(AccessToken(value=secret, expires_on=7.0)) == "AccessToken(expires_on=7.0)"
    source = token_source(read_settings(azure, "secret"))
    tokens = Tokens(source)
    told = repr([tokens.get() and tokens, source, connect(read_settings(azure, "secret"), budget=1.0)])
    assert secret not in told
    assert "eyJ" not in told


def test_nothing_secret_is_logged_at_any_level(
    azure: Simulator, caplog: pytest.LogCaptureFixture, make_graph: Callable[..., Graph]
) -> None:
    """The suite's watch reads every record that this lets through: MSAL's, azure-identity's, requests' and ours."""
    azure.reset(users=1200)
    grant_identity(azure)
    # The app in a worker keeps the SDKs quiet, for the whole process.
    for name in ("azure.core", "azure.identity"):
        caplog.set_level(logging.DEBUG, logger=name)
    with caplog.at_level(logging.DEBUG):
        for mode in MODES:
            graph = make_graph(tokens=Tokens(token_source(read_settings(azure, mode))))
            assert read_all(graph) == 1200
            azure.entra.revoke_tokens()
            azure.faults.plan(server_error(503), connection_reset(skip=1))
            assert read_all(graph) == 1200
    assert {record.name.split(".")[0] for record in caplog.records} >= {"azure", "msal"}


def test_a_custom_sign_in_domain_is_reached_by_its_own_authority(azure: Simulator) -> None:
    """https://learn.microsoft.com/en-us/entra/external-id/customers/concept-custom-url-domain"""
    application = azure.entra.application
    source = AppRegistration(
        client_id=application.client_id,
        oidc_authority=f"https://login.contoso.example/{azure.app_settings('secret')['GRAPH_TENANT_ID']}/v2.0",
        scopes=[f"{GRAPH}/.default"],
        credential=lambda: ClientCredential(value=application.secrets[0].value, name="secret"),
    )
    source.acquire()
    assert {each.host for each in azure.requests} == {"login.contoso.example"}
