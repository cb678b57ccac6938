"""What a Blob container adds to the contract: faults of the service and the network, lost answers, links, rights."""

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import requests
from azure.core.credentials import AccessToken, TokenCredential
from azure.storage.blob import BlobClient, BlobLeaseClient

from entra_users.blob_store import BlobStore
from entra_users.errors import (
    IdentityError,
    ObjectChanged,
    ObjectNotFound,
    StoreDenied,
    StoreError,
    StoreFull,
    StoreUnavailable,
)
from entra_users.identity import azure_credential
from entra_users.store import Stored, open_store
from simulator import Simulator
from tests.store.conftest import identity_of
from tests.store.faulty import FaultyProxy, Spoil

MEGABYTE = 1024 * 1024
PUT_BLOB = Spoil(method="PUT", target="/latest.json")
COMMIT = Spoil(method="PUT", target="comp=blocklist")
STAGE = Spoil(method="PUT", target="comp=block&")
ATTEMPTS = 4


def write(store: BlobStore, name: str, data: bytes, *, anew: bool = False) -> None:
    with store.create(name, replace=anew) as writer:
        writer.write(data)


def stream(store: BlobStore, name: str) -> bytes:
    with store.open(name) as opened:
        return opened.read()


def actions(store: BlobStore) -> list[Callable[[], object]]:
    """One of each."""
    return [
        lambda: store.read("latest.json"),
        lambda: stream(store, "latest.json"),
        lambda: write(store, "part", b"new"),
        lambda: store.swap("latest.json", b"new", None),
        store.names,
        lambda: store.delete("latest.json"),
        lambda: store.link("latest.json", 60),
    ]


class Token:
    """A credential that gives one token."""

    def __init__(self, token: str) -> None:
        self._token = token

    def get_token(self, *_scopes: str, **_options: object) -> AccessToken:
        return AccessToken(self._token, int(datetime.now(UTC).timestamp()) + 3600)


# Faults of the service and the network


@pytest.mark.parametrize(
    ("status", "code", "error", "advice"),
    [
        (403, "AuthorizationPermissionMismatch", StoreDenied, "Storage Blob Data Contributor"),
        (403, "AuthorizationFailure", StoreDenied, "firewall"),
        (401, "NoAuthenticationInformation", StoreDenied, "Storage Blob Data Contributor"),
        (409, "BlobImmutableDueToPolicy", StoreDenied, "immutability policy"),
        (404, "ContainerNotFound", StoreError, "container in USERS_STORE"),
        (409, "ContainerBeingDeleted", StoreError, "container in USERS_STORE"),
        (400, "InvalidHeaderValue", StoreError, "Could not "),
        (507, "InsufficientStorage", StoreFull, "SNAPSHOT_KEEP"),
        (503, "ServerBusy", StoreUnavailable, "Try again"),
        (500, "OperationTimedOut", StoreUnavailable, "Try again"),
        (429, "TooManyRequests", StoreUnavailable, "Try again"),
    ],
)
def test_an_answer_that_says_no_is_a_named_error_with_what_to_do_and_changes_nothing(
    faulty: BlobStore, proxy: FaultyProxy, status: int, code: str, error: type[StoreError], advice: str
) -> None:
    etag = faulty.swap("latest.json", b"old", None)
    for action in actions(faulty):
        proxy.plan(Spoil(status=status, code=code, times=ATTEMPTS))
        with pytest.raises(error, match=advice) as caught:
            action()
        assert type(caught.value) is error
        assert (caught.value.status, caught.value.code) == (status, code)
        proxy.reset()
    assert faulty.names() == ["latest.json"]
    assert faulty.read("latest.json") == Stored(data=b"old", etag=etag)


@pytest.mark.parametrize("spoil", [Spoil(status=503, code="ServerBusy"), Spoil(reset=True)])
def test_what_fails_in_passing_is_repeated(faulty: BlobStore, proxy: FaultyProxy, spoil: Spoil) -> None:
    def plan() -> None:
        proxy.reset()
        proxy.plan(spoil)

    plan()
    etag = faulty.swap("latest.json", b"whole", None)
    plan()
    write(faulty, "part", b"a" * 5 * MEGABYTE)
    plan()
    assert faulty.read("latest.json") == Stored(data=b"whole", etag=etag)
    plan()
    assert stream(faulty, "part") == b"a" * 5 * MEGABYTE
    plan()
    assert faulty.names() == ["latest.json", "part"]
    plan()
    faulty.delete("part")
    assert faulty.names() == ["latest.json"]


def test_an_attempt_without_an_answer_is_given_up_and_repeated(impatient: BlobStore, proxy: FaultyProxy) -> None:
    proxy.plan(Spoil(method="PUT", hang=True), Spoil(method="GET", hang=True))
    etag = impatient.swap("latest.json", b"whole", None)
    assert impatient.read("latest.json") == Stored(data=b"whole", etag=etag)


@pytest.mark.parametrize("spoil", [Spoil(reset=True, times=99), Spoil(hang=True, times=99)])
def test_what_keeps_failing_is_an_error_after_four_attempts(
    impatient: BlobStore, proxy: FaultyProxy, spoil: Spoil
) -> None:
    proxy.plan(spoil)
    with pytest.raises(StoreUnavailable, match="check USERS_STORE, the network"):
        impatient.read("latest.json")
    assert [method for method, _ in proxy.requests] == ["GET"] * ATTEMPTS


def test_an_account_that_nothing_leads_to_is_unavailable(azure: Simulator, faulty: BlobStore) -> None:
    azure.tunnel("account.blob.core.windows.net", 1)
    with pytest.raises(StoreUnavailable, match="check USERS_STORE, the network"):
        faulty.names()


def test_a_body_that_was_cut_off_is_read_again(faulty: BlobStore, proxy: FaultyProxy) -> None:
    faulty.swap("latest.json", b"whole", None)
    proxy.plan(Spoil(method="GET", cut=3))
    assert faulty.read("latest.json").data == b"whole"


def test_a_stream_that_breaks_off_is_an_error_and_never_an_end(faulty: BlobStore, proxy: FaultyProxy) -> None:
    write(faulty, "part", b"a" * 5 * MEGABYTE)
    proxy.plan(Spoil(method="GET", skip=1, reset=True, times=ATTEMPTS))
    with faulty.open("part") as opened:
        assert opened.read(4 * MEGABYTE) == b"a" * 4 * MEGABYTE
        with pytest.raises(StoreUnavailable):
            opened.read()


def test_an_object_whose_blocks_cannot_be_sent_is_not_there(faulty: BlobStore, proxy: FaultyProxy) -> None:
    proxy.plan(replace(STAGE, skip=1, status=403, code="AuthorizationFailure"))
    with pytest.raises(StoreDenied):
        write(faulty, "part", b"a" * 9 * MEGABYTE)
    with pytest.raises(ObjectNotFound):
        faulty.read("part")


# Lost answers: the service did it, and nobody was told


def test_a_swap_whose_answer_was_lost_is_known_to_have_happened(faulty: BlobStore, proxy: FaultyProxy) -> None:
    proxy.plan(replace(PUT_BLOB, lost=True))
    first = faulty.swap("latest.json", b"first", None)
    assert faulty.read("latest.json") == Stored(data=b"first", etag=first)
    proxy.plan(replace(PUT_BLOB, lost=True))
    second = faulty.swap("latest.json", b"second", first)
    assert faulty.read("latest.json") == Stored(data=b"second", etag=second)


@pytest.mark.parametrize("anew", [False, True])
def test_a_new_object_whose_answer_was_lost_is_known_to_be_there(
    faulty: BlobStore, proxy: FaultyProxy, anew: bool
) -> None:
    proxy.plan(replace(COMMIT, lost=True), replace(STAGE, lost=True))
    write(faulty, "part", b"a" * 5 * MEGABYTE, anew=anew)
    assert faulty.read("part").data == b"a" * 5 * MEGABYTE


def test_a_removal_whose_answer_was_lost_is_no_error(faulty: BlobStore, proxy: FaultyProxy) -> None:
    faulty.swap("latest.json", b"first", None)
    proxy.plan(Spoil(method="DELETE", lost=True))
    faulty.delete("latest.json")
    assert faulty.names() == []


def test_a_swap_that_met_anothers_write_of_the_very_same_bytes_is_not_taken_for_it(
    faulty: BlobStore, blob_store: BlobStore, proxy: FaultyProxy
) -> None:
    faulty.swap("latest.json", b"same", None)
    proxy.plan(replace(PUT_BLOB, reset=True))
    with pytest.raises(ObjectChanged):
        faulty.swap("latest.json", b"same", None)


def test_a_swap_that_another_followed_before_the_answer_was_missed_is_anothers(
    faulty: BlobStore, proxy: FaultyProxy
) -> None:
    def follow() -> None:
        faulty.swap("latest.json", b"theirs", faulty.read("latest.json").etag)

    proxy.plan(replace(PUT_BLOB, lost=True, then=follow))
    with pytest.raises(ObjectChanged):
        faulty.swap("latest.json", b"ours", None)
    assert faulty.read("latest.json").data == b"theirs"


def test_a_swap_that_was_removed_before_the_answer_was_missed_is_anothers(
    faulty: BlobStore, proxy: FaultyProxy
) -> None:
    etag = faulty.swap("latest.json", b"first", None)
    proxy.plan(replace(PUT_BLOB, lost=True, then=lambda: faulty.delete("latest.json")))
    with pytest.raises(ObjectChanged):
        faulty.swap("latest.json", b"second", etag)
    assert faulty.names() == []


def test_a_swap_that_cannot_be_read_back_is_unavailable_and_not_anothers(faulty: BlobStore, proxy: FaultyProxy) -> None:
    proxy.plan(replace(PUT_BLOB, lost=True), Spoil(method="HEAD", status=503, times=ATTEMPTS))
    with pytest.raises(StoreUnavailable, match="Could not read back"):
        faulty.swap("latest.json", b"first", None)


# Other writers


@pytest.mark.parametrize(("status", "code"), [(412, "ConditionNotMet"), (404, "BlobNotFound")])
def test_a_swap_that_finds_nothing_where_something_was_is_anothers_removal(
    faulty: BlobStore, proxy: FaultyProxy, status: int, code: str
) -> None:
    etag = faulty.swap("latest.json", b"first", None)
    faulty.delete("latest.json")
    proxy.plan(replace(PUT_BLOB, status=status, code=code))
    with pytest.raises(ObjectChanged):
        faulty.swap("latest.json", b"second", etag)


def test_a_writer_whose_blocks_anothers_end_discarded_is_told_so(blob_store: BlobStore) -> None:
    def overtake() -> None:
        with blob_store.create("part", replace=True) as writer:
            writer.write(b"a" * 5 * MEGABYTE)
            write(blob_store, "part", b"theirs", anew=True)

    with pytest.raises(ObjectChanged):
        overtake()
    assert blob_store.read("part").data == b"theirs"


def test_a_leased_object_is_denied_and_not_anothers_write(
    azure: Simulator, container: str, blob_store: BlobStore
) -> None:
    etag = blob_store.swap("latest.json", b"first", None)
    credential = azure_credential(azure.entra.identity.client_id)
    blob = BlobClient.from_blob_url(f"{container}/tenant/latest.json", credential)
    BlobLeaseClient(blob).acquire()
    with pytest.raises(StoreDenied, match="lease"):
        blob_store.swap("latest.json", b"second", etag)


def test_foreign_blobs_and_the_folders_of_a_hierarchical_namespace_are_not_named(
    azure: Simulator, container: str, blob_store: BlobStore
) -> None:
    credential = azure_credential(azure.entra.identity.client_id)
    blobs = {
        "other/latest.json": {},
        "tenant/My notes.txt": {},
        "tenant/runs": {"hdi_isfolder": "true"},
        "tenant/runs/plan.json": {},
    }
    for name, metadata in blobs.items():
        BlobClient.from_blob_url(f"{container}/{name}", credential).upload_blob(b"", metadata=metadata)
    assert blob_store.names() == ["runs/plan.json"]


# Identity


def test_without_an_identity_nothing_is_sent_and_the_identity_is_named(
    azure: Simulator, container: str, proxy: FaultyProxy
) -> None:
    store = open_store(container, credential=lambda: azure_credential("00000000-0000-0000-0000-000000000000"))
    with pytest.raises(IdentityError, match=r"https://storage\.azure\.com/"):
        store.names()
    assert proxy.requests == []


def test_a_token_for_something_else_is_refused_and_shown_nowhere(
    azure: Simulator, container: str, caplog: pytest.LogCaptureFixture
) -> None:
    credential: TokenCredential = azure_credential(azure.entra.identity.client_id)
    token = credential.get_token("https://vault.azure.net/.default").token
    account, _, name = container.rpartition("/")
    store = BlobStore(account, name, "", lambda: Token(token), backoff=0)
    with caplog.at_level(logging.DEBUG), pytest.raises(StoreDenied) as caught:
        store.read("latest.json")
    assert token not in caplog.text
    assert token not in f"{caught.value!r} {caught.value} {caught.value.__cause__!r}"


# Links


def test_a_link_lets_anyone_read_this_object_and_nothing_else(azure: Simulator, blob_store: BlobStore) -> None:
    blob_store.swap("snapshots/1/part-00000.ndjson.gz", b"part", None)
    blob_store.swap("snapshots/1/part-00001.ndjson.gz", b"other", None)
    link = blob_store.link("snapshots/1/part-00000.ndjson.gz", 60) or ""
    answer = requests.get(link, timeout=10)
    assert (answer.status_code, answer.content) == (200, b"part")
    assert answer.headers["content-disposition"] == 'attachment; filename="part-00000.ndjson.gz"'
    assert requests.get(link.replace("part-00000", "part-00001", 1), timeout=10).status_code == 403
    overwrite = requests.put(link, b"x", headers={"x-ms-blob-type": "BlockBlob"}, timeout=10)
    assert overwrite.status_code == 403
    assert requests.delete(link, timeout=10).status_code == 403


def test_a_link_ends(azure: Simulator, container: str) -> None:
    account, _, name = container.rpartition("/")
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    store = BlobStore(account, name, "", identity_of(azure), clock=lambda: an_hour_ago)
    store.swap("latest.json", b"{}", None)
    assert requests.get(store.link("latest.json", 3000) or "", timeout=10).status_code == 403
    assert requests.get(store.link("latest.json", 4200) or "", timeout=10).status_code == 200


def test_links_share_a_key_until_one_would_outlive_it(azure: Simulator, container: str, proxy: FaultyProxy) -> None:
    now = datetime.now(UTC)
    account, _, name = container.rpartition("/")
    store = BlobStore(account, name, "", identity_of(azure), clock=lambda: now)
    store.swap("latest.json", b"{}", None)

    def keys_after(*links: tuple[float, float]) -> int:
        nonlocal now
        begin = now
        for minutes, lifetime in links:
            now = begin + timedelta(minutes=minutes)
            assert requests.get(store.link("latest.json", lifetime) or "", timeout=10).status_code == 200
        now = begin
        return sum("comp=userdelegationkey" in target for _, target in proxy.requests)

    assert keys_after((0, 60), (0, 60), (10, 600), (0, 3600)) == 1
    assert keys_after((0, 2 * 3600)) == 2
