"""A tenant and its store."""

from pathlib import Path

import pytest

from entra_users.blob_store import BlobStore
from entra_users.folder_store import FolderStore
from entra_users.identity import azure_credential
from entra_users.store import Store
from simulator import Simulator
from tests.sync.tenant import Tenant


@pytest.fixture
def folder(tmp_path: Path) -> FolderStore:
    """A store in a folder."""
    return FolderStore(tmp_path / "users")


@pytest.fixture
def blob_store(azure: Simulator, container: str) -> BlobStore:
    """A store in an empty Blob container."""
    account, _, name = container.rpartition("/")
    return BlobStore(account, name, "tenant/", lambda: azure_credential(azure.entra.identity.client_id), backoff=0)


@pytest.fixture(params=["folder", "blob_store"])
def store(request: pytest.FixtureRequest) -> Store:
    """An empty store of each kind."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def tenant(azure: Simulator, folder: FolderStore) -> Tenant:
    """A tenant whose users are kept in a folder."""
    return Tenant(azure, folder)
