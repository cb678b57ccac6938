"""The check of a chain that holds, of its permissions, and of what is stored."""

import base64
import datetime as dt
import itertools
import json
from pathlib import Path

import pytest

from entra_users import console_sync, links, links_store
from entra_users.connection import connect_store
from entra_users.diagnosis import NAMES, Diagnosis, Link, wrong_settings
from entra_users.errors import ObjectChanged, SettingsError, ShrinkRefused, StoreError
from entra_users.folder_store import FolderStore
from entra_users.jobs import start_run
from entra_users.schedule import read_schedule
from entra_users.settings import Settings
from simulator import Simulator
from tests.diagnosis.conftest import Check, MakeSettings

NOW = dt.datetime.now(dt.UTC)
HELD = dict.fromkeys(NAMES, "ok") | {"snapshot": "warning"}  # nothing is stored yet


def states(diagnosis: Diagnosis) -> dict[str, str]:
    return {link.name: link.state for link in diagnosis.links}


def link_of(diagnosis: Diagnosis, name: str) -> Link:
    return next(link for link in diagnosis.links if link.name == name)


def sync(settings: Settings) -> None:
    console_sync.sync(settings, full=False, force=False, terminal=None)


@pytest.mark.parametrize(
    ("mode", "cloud"),
    [
        ("secret", "global"),
        ("secret", "usgov"),
        ("certificate", "china"),
        ("federated", "usgov-dod"),
        ("managed-identity", "global"),
    ],
)
def test_a_chain_holds_in_every_credential_mode_and_cloud(
    make_settings: MakeSettings, check: Check, mode: str, cloud: str
) -> None:
    settings = make_settings(mode, cloud)
    sync(settings)
    diagnosis = check(settings)
    names = [name for name in NAMES if name != "Key Vault" or mode in ("secret", "certificate")]
    assert states(diagnosis) == dict.fromkeys(names, "ok")
    assert diagnosis.status == "ok"
    assert [link for link in diagnosis.links if link.remedy or link.meaning or link.who or link.code] == []
    assert (diagnosis.credential, diagnosis.cloud) == (mode, cloud)
    assert (diagnosis.tenant, diagnosis.app) == (settings.graph_tenant_id, settings.graph_client_id)


def test_it_says_what_was_seen_of_each_link_and_nothing_of_any_user(
    tenant: Simulator, make_settings: MakeSettings, check: Check
) -> None:
    settings = make_settings()
    sync(settings)
    diagnosis = check(settings, clock=itertools.count(0.0, 0.5).__next__)
    app, identity = tenant.entra.application.client_id, tenant.entra.identity.client_id
    vault = "https://vault.azure.net"
    run = console_sync.status(settings)["snapshot"]["run"]
    assert [(link.name, link.seconds, link.detail) for link in diagnosis.links if link.name != "token"] == [
        ("settings", 0.5, f"15 properties of each user; the store is {settings.users_store}"),
        (
            "managed identity",
            0.5,
            f"managed identity {identity}, or this machine's own sign-in, gave a token for {vault}/.default",
        ),
        ("Key Vault", 0.5, "secret 'graph-client-secret' of https://contoso.vault.azure.net expires in 364 days"),
        ("permissions", 0.5, "User.Read.All"),
        ("users", 0.5, "https://graph.microsoft.com gave one, with 15 properties asked for"),
        ("count", 0.5, "30 users"),
        ("changes", 0.5, "Graph gave a delta link"),
        ("advanced queries", 0.5, "Graph took one by createdDateTime"),
        ("store", 0.5, "written, read back and removed; conditional writes are honoured"),
        ("snapshot", 0.5, f"30 users, as of 0.0 hours ago (run {run})"),
    ]
    assert link_of(diagnosis, "token").detail.startswith(
        f"acquired by secret 'graph-client-secret', for app {app} in tenant {tenant.entra.tenants[0].id}; valid for "
    )


def test_it_asks_for_a_token_of_its_own_every_time(
    tenant: Simulator, make_settings: MakeSettings, check: Check
) -> None:
    settings = make_settings("managed-identity")
    assert check(settings).status == "warning"
    tenant.entra.identity.graph_roles.clear()
    failed = link_of(check(settings), "permissions")
    assert (failed.state, failed.code) == ("failed", "Authorization_RequestDenied")
    tenant.entra.identity.graph_roles.add("User.Read.All")
    assert states(check(settings))["permissions"] == "ok"


def test_an_error_brings_the_services_own_code_and_request_id(
    tenant: Simulator, make_settings: MakeSettings, check: Check
) -> None:
    tenant.entra.application.expire_secrets()
    failed = link_of(check(make_settings()), "token")
    assert (failed.code, failed.who) == ("AADSTS7000222", "owner of the app registration")
    assert failed.request_id is not None
    assert f"request-id {failed.request_id}" in failed.detail
    assert failed.remedy == (
        "Add a client secret at https://entra.microsoft.com/#view/Microsoft_AAD_RegisteredApps/ApplicationMenuBlade/~/"
        f"Credentials/appId/{tenant.entra.application.client_id} and store its value (not its id) as the secret"
        " graph-client-secret in https://contoso.vault.azure.net. The app picks it up by itself."
    )


def test_a_tenant_without_advanced_queries_and_changes_is_a_warning(
    tenant: Simulator, make_settings: MakeSettings, check: Check
) -> None:
    tenant.directory.b2c = True
    diagnosis = check(make_settings())
    assert states(diagnosis) == HELD | dict.fromkeys(("count", "changes", "advanced queries"), "warning")
    assert [link.code for link in diagnosis.links if link.state == "warning"] == [
        "cannotCount",
        "noDelta",
        "noAdvancedQueries",
        "noSnapshot",
    ]


def test_a_store_that_is_at_no_address_is_a_fault_of_the_settings(make_settings: MakeSettings, check: Check) -> None:
    diagnosis = check(make_settings(USERS_STORE="https://users.blob.example.com/container"))
    assert states(diagnosis) == {"settings": "failed", **dict.fromkeys(NAMES[1:], "not reached")}


def test_wrong_settings_are_all_told_and_no_other_link_is_reached() -> None:
    faults = ["GRAPH_CLOUD must be one of these.", "SYNC_LANES must be a whole number of at least 1."]
    diagnosis = wrong_settings(SettingsError(faults), now=lambda: NOW)
    assert (diagnosis.status, diagnosis.at) == ("failed", NOW)
    assert states(diagnosis) == {"settings": "failed", **dict.fromkeys(NAMES[1:], "not reached")}
    assert diagnosis.links[0].detail == "\n".join(faults)
    assert diagnosis.links[0].remedy.startswith("Correct each one")


def part(document: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("token", "roles"),
    [
        (f"header.{part({'roles': ['User.Read.All']})}.signature", {"User.Read.All"}),
        (f"header.{part({})}.signature", set()),
        (f"header.{part({'roles': 'User.Read.All'})}.signature", None),
        (f"header.{part([])}.signature", None),
        ("header.e.signature", None),
        ("header.\u00e9\u00e9\u00e9\u00e9.signature", None),
        ("opaque", None),
    ],
)
def test_permissions_are_read_from_a_token_that_can_be_read(token: str, roles: set[str] | None) -> None:
    assert links.granted(token) == roles


def test_a_token_that_cannot_be_read_is_no_failure(make_settings: MakeSettings) -> None:
    opaque = links.AccessToken(value="opaque", expires_on=0.0)
    finding = links.read_permissions(make_settings(), opaque)
    assert (finding.value, finding.concern) == (opaque, "")
    assert finding.found == "unknown: Microsoft has made this token unreadable for apps"


def test_the_store_holds_afterwards_what_it_held_before(make_settings: MakeSettings, check: Check) -> None:
    settings = make_settings()
    sync(settings)
    store = connect_store(settings)
    before = store.names()
    check(settings)
    assert store.names() == before


def test_a_store_in_a_container_is_checked_with_the_apps_identity(
    make_settings: MakeSettings, check: Check, container: str
) -> None:
    assert states(check(make_settings(USERS_STORE=container))) == HELD
    missing = link_of(check(make_settings(USERS_STORE=f"{container}-gone")), "store")
    assert (missing.state, missing.code) == ("failed", "ContainerNotFound")
    assert missing.meaning == "The container does not exist, and is not made here."


def test_a_store_that_cannot_be_written_fails_and_the_snapshot_is_not_reached(
    make_settings: MakeSettings, check: Check, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    diagnosis = check(make_settings(USERS_STORE=str(tmp_path / "file")))
    assert states(diagnosis) == HELD | {"store": "failed", "snapshot": "not reached"}
    assert link_of(diagnosis, "store").meaning == "The store did not do what was asked."


class CarelessStore(FolderStore):
    """A store with a flaw: it takes writes whose condition does not hold, or it writes something else."""

    def __init__(self, folder: Path, flaw: str) -> None:
        super().__init__(folder)
        self.flaw = flaw

    def swap(self, name: str, data: bytes, etag: str | None) -> str:
        """Write a small object, after its fashion."""
        try:
            return super().swap(name, data + b"!" if self.flaw == "writes more" else data, etag)
        except ObjectChanged:
            if self.flaw == ("creates twice" if etag is None else "overwrites"):
                return "an ETag"
            raise


@pytest.mark.parametrize(
    ("flaw", "fault"),
    [
        ("creates twice", "The store wrote an object although its condition did not hold. (code conditionsIgnored)"),
        ("overwrites", "The store wrote an object although its condition did not hold. (code conditionsIgnored)"),
        ("writes more", "The store did not give back what was written last."),
    ],
)
def test_a_store_that_does_not_keep_its_promises_is_found_out(tmp_path: Path, flaw: str, fault: str) -> None:
    store = CarelessStore(tmp_path, flaw)
    with pytest.raises(StoreError) as refused:
        links_store.try_store(store)
    assert str(refused.value) == fault
    assert store.names() == []


def test_what_a_dead_check_left_in_the_store_starts_no_run_and_is_tidied_away_by_the_next(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    settings = make_settings()
    sync(settings)
    store = connect_store(settings)
    store.swap("runs/19700101T000000000Z-0a0b0c0d/check.json", b"[2]", None)
    start_run(store, settings.users_select, now=NOW, suffix="1")
    sync(settings)
    assert [name for name in store.names() if "check" in name] == []


def test_a_snapshot_is_overdue_an_hour_after_a_run_was_due(make_settings: MakeSettings, check: Check) -> None:
    settings = make_settings(SYNC_SCHEDULE="0 0 2 * * *")
    sync(settings)
    due = read_schedule(settings.sync_schedule).due_after(dt.datetime.now(dt.UTC))
    on_time = link_of(check(settings, now=lambda: due + dt.timedelta(minutes=60)), "snapshot")
    assert on_time.state == "ok"
    late = link_of(check(settings, now=lambda: due + dt.timedelta(minutes=61)), "snapshot")
    assert (late.state, late.code) == ("warning", "snapshotOverdue")
    assert late.detail.endswith(f"; a run was due on {due:%Y-%m-%d} at 02:00 UTC")
    old = link_of(check(settings, now=lambda: due + dt.timedelta(days=9)), "snapshot")
    assert old.detail.startswith("30 users, as of 9 days ago (run ")


def test_a_run_that_is_active_excuses_an_old_snapshot_and_none(make_settings: MakeSettings, check: Check) -> None:
    settings = make_settings()
    run = start_run(connect_store(settings), settings.users_select, now=NOW, suffix="1").run
    link = link_of(check(settings), "snapshot")
    assert (link.state, link.detail) == ("ok", f"nothing is stored yet; run {run} is active")


def test_a_run_that_failed_is_told_with_its_remedy(
    tenant: Simulator, make_settings: MakeSettings, check: Check
) -> None:
    settings = make_settings()
    sync(settings)
    for user in tenant.directory.users(["id"])[:20]:
        tenant.directory.remove(user["id"])
    with pytest.raises(ShrinkRefused) as refused:
        sync(settings)
    link = link_of(check(settings), "snapshot")
    assert (link.state, link.code) == ("warning", "ShrinkRefused")
    assert link.detail.endswith(f"; the last run failed: {refused.value}")
    assert link.remedy == "See who is gone before you force it: docs/operations.md, the shrink guard."


def test_a_snapshot_that_cannot_be_read_fails_and_the_store_does_not(
    make_settings: MakeSettings, check: Check, tmp_path: Path
) -> None:
    settings = make_settings()
    sync(settings)
    (tmp_path / "users" / "latest.json").write_text("spoiled")
    diagnosis = check(settings)
    assert states(diagnosis) == HELD | {"snapshot": "failed"}
    assert link_of(diagnosis, "snapshot").meaning == "Stored bytes are not what their manifest or receipt says."
