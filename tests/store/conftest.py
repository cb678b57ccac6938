"""The two stores, and what surrounds them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from azure.core.credentials import TokenCredential

from entra_users.blob_store import BlobStore
from entra_users.folder_store import FolderStore
from entra_users.identity import azure_credential
from entra_users.store import Store
from simulator import Simulator
from simulator.azurite import Azurite
from tests.store.faulty import FaultyProxy


def identity_of(azure: Simulator) -> Callable[[], TokenCredential]:
    """What the app reaches storage with: its managed identity."""
    return lambda: azure_credential(azure.entra.identity.client_id)


@pytest.fixture
def folder(tmp_path: Path) -> FolderStore:
    """A store in a folder that nothing was written to."""
    return FolderStore(tmp_path / "users")


@pytest.fixture
def blob_store(azure: Simulator, container: str) -> BlobStore:
    """A store in an empty container, with the managed identity."""
    account, _, name = container.rpartition("/")
    return BlobStore(account, name, "tenant/", identity_of(azure))


@pytest.fixture(params=["folder", "blob"])
def store(request: pytest.FixtureRequest) -> Store:
    """An empty store of each kind."""
    return request.getfixturevalue({"folder": "folder", "blob": "blob_store"}[request.param])


@pytest.fixture(scope="session")
def _proxy(_simulator: Simulator, azurite: Azurite) -> Iterator[FaultyProxy]:
    proxy = FaultyProxy(_simulator.certificate("*.blob.core.windows.net"), azurite.ports["blob"])
    with proxy.serving():
        yield proxy


@pytest.fixture
def proxy(_proxy: FaultyProxy, azure: Simulator) -> Iterator[FaultyProxy]:
    """A reverse proxy between the account and whoever uses it from now on."""
    azure.tunnel("account.blob.core.windows.net", _proxy.port)
    yield _proxy
    _proxy.reset()
    azure.tunnel("account.blob.core.windows.net", _proxy.upstream)


@pytest.fixture
def faulty(azure: Simulator, container: str, proxy: FaultyProxy) -> BlobStore:
    """A store behind the proxy that repeats without a pause."""
    del proxy
    account, _, name = container.rpartition("/")
    return BlobStore(account, name, "", identity_of(azure), backoff=0)


@pytest.fixture
def impatient(azure: Simulator, container: str, proxy: FaultyProxy) -> BlobStore:
    """A store behind the proxy that gives an attempt up after half a second."""
    del proxy
    account, _, name = container.rpartition("/")
    return BlobStore(account, name, "", identity_of(azure), backoff=0, timeout=0.5)
