"""Which locations `USERS_STORE` may name."""

import subprocess
import sys
from pathlib import Path

import pytest

from entra_users.errors import ObjectNotFound, SettingsError
from entra_users.store import open_store
from simulator import Simulator
from tests.store.conftest import identity_of


def test_a_path_is_a_folder_that_the_first_write_makes(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "data" / "users"))
    with pytest.raises(ObjectNotFound):
        store.read("latest.json")
    assert list(tmp_path.iterdir()) == []
    store.swap("latest.json", b"{}", None)
    assert (tmp_path / "data" / "users" / "latest.json").read_bytes() == b"{}"


@pytest.mark.parametrize("end", ["", "/", "/contoso", "/contoso/users/"])
def test_the_address_of_a_container_with_or_without_a_prefix_is_that_container(
    azure: Simulator, container: str, end: str
) -> None:
    store = open_store(container + end, credential=identity_of(azure))
    store.swap("latest.json", b"{}", None)
    prefix = end.strip("/")
    assert open_store(container, credential=identity_of(azure)).names() == [f"{prefix}/latest.json".lstrip("/")]
    assert store.names() == ["latest.json"]


@pytest.mark.parametrize(
    "location",
    [
        "https://account.blob.core.windows.net/users",
        "https://account.blob.core.usgovcloudapi.net/users/contoso",
        "https://account.blob.core.chinacloudapi.cn/users/contoso",
        "https://account.z12.blob.storage.azure.net/users/contoso",
    ],
)
def test_a_container_may_be_in_any_cloud_and_is_not_asked_before_it_is_used(location: str) -> None:
    def credential() -> None:
        raise AssertionError

    assert open_store(location, credential=credential) is not None  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    "location",
    [
        "",
        " ",
        "http://account.blob.core.windows.net/users",
        "https://account.blob.core.windows.net",
        "https://account.blob.core.windows.net/",
        "https://account.blob.core.windows.net/USERS",
        "https://account.blob.core.windows.net/us--ers",
        "https://account.blob.core.windows.net/us",
        "https://account.blob.core.windows.net/users/a b",
        "https://account.blob.core.windows.net/users/../other",
        "https://account.blob.core.windows.net/users?sv=2026-01-01&sig=c2VjcmV0",
        "https://account.blob.core.windows.net/users#part",
        "https://account:c2VjcmV0@account.blob.core.windows.net/users",
        "https://account.blob.core.windows.net:8443/users",
        "https://account.blob.core.windows.net.example.com/users",
        "https://account.queue.core.windows.net/users",
        "https://example.com/users",
        "https://[account/users",
        "abfss://users@account.dfs.core.windows.net/contoso",
        "file:///var/users",
    ],
)
def test_any_other_location_is_a_settings_error_that_does_not_repeat_it(location: str) -> None:
    with pytest.raises(SettingsError, match="USERS_STORE") as caught:
        open_store(location, credential=lambda: pytest.fail("asked for a credential"))
    assert "c2VjcmV0" not in str(caught.value)
    assert len(caught.value.faults) == 1


def test_a_container_needs_a_credential() -> None:
    with pytest.raises(TypeError, match="credential"):
        open_store("https://account.blob.core.windows.net/users")


def test_a_folder_loads_nothing_of_azure(tmp_path: Path) -> None:
    program = (
        "import sys; from entra_users.store import open_store;"
        " open_store(sys.argv[1]).swap('latest.json', b'{}', None);"
        " print(sorted(name for name in sys.modules if name.startswith('azure')))"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "[]\n"
