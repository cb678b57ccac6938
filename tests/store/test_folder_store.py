"""What a folder adds to the contract: links, leftovers, rights, space, and the errors of the operating system."""

import hashlib
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from entra_users.errors import ObjectChanged, ObjectNotFound, StoreDenied, StoreError, StoreFull, StoreUnavailable
from entra_users.folder_store import FolderStore

MEGABYTE = 1024 * 1024
linux = pytest.mark.skipif(sys.platform != "linux", reason="uses a device that only Linux has")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder that the store is in."""
    return tmp_path / "users"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder beside the store with one file."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "plan.json").write_bytes(b"secret")
    return folder


@pytest.fixture
def forbidden(folder: FolderStore, root: Path) -> Iterator[FolderStore]:
    """A store with one object in a folder that this account has no right to, not even when the account is root."""
    folder.swap("latest.json", b"first", None)
    root.chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    yield folder
    if user == 0:
        os.seteuid(0)
    root.chmod(0o700)


def files(root: Path) -> dict[str, bytes]:
    """Every file below a folder, with its content, but for the lock."""
    paths = [path for path in root.rglob("*") if path.is_file()]
    return {str(path.relative_to(root)): path.read_bytes() for path in paths if path.name != ".lock"}


def write(store: FolderStore, name: str, data: bytes) -> None:
    with store.create(name) as writer:
        writer.write(data)


def test_objects_are_plain_files_under_their_names_and_nothing_else_is_left(folder: FolderStore, root: Path) -> None:
    folder.swap("latest.json", b"{}", None)
    write(folder, "snapshots/1/part-00000.ndjson.gz", b"part")
    with pytest.raises(ObjectChanged):
        write(folder, "snapshots/1/part-00000.ndjson.gz", b"other")
    assert files(root) == {"latest.json": b"{}", "snapshots/1/part-00000.ndjson.gz": b"part"}


def test_an_etag_is_a_hash_of_the_bytes_so_that_a_change_by_hand_is_noticed(folder: FolderStore, root: Path) -> None:
    etag = folder.swap("latest.json", b"{}", None)
    assert etag == hashlib.sha256(b"{}").hexdigest()
    (root / "latest.json").write_bytes(b"{ }")
    with pytest.raises(ObjectChanged):
        folder.swap("latest.json", b"second", etag)


def test_a_folder_that_is_made_is_its_owners_alone(folder: FolderStore, root: Path) -> None:
    folder.swap("latest.json", b"{}", None)
    assert stat.S_IMODE(root.stat().st_mode) == 0o700


def test_a_folder_that_exists_keeps_its_mode(folder: FolderStore, root: Path) -> None:
    root.mkdir(mode=0o755)
    folder.swap("latest.json", b"{}", None)
    assert stat.S_IMODE(root.stat().st_mode) == 0o755


def test_a_folder_has_no_links_to_give(folder: FolderStore) -> None:
    folder.swap("latest.json", b"{}", None)
    assert folder.link("latest.json", 60) is None


def test_removing_the_last_object_of_a_folder_removes_the_folder(folder: FolderStore, root: Path) -> None:
    folder.swap("latest.json", b"{}", None)
    folder.swap("runs/1/plan.json", b"{}", None)
    folder.swap("runs/2/plan.json", b"{}", None)
    folder.delete("runs/1/plan.json")
    assert sorted(path.name for path in root.iterdir()) == [".lock", ".partial", "latest.json", "runs"]
    assert [path.name for path in (root / "runs").iterdir()] == ["2"]
    folder.delete("runs/2/plan.json")
    assert sorted(path.name for path in root.iterdir()) == [".lock", ".partial", "latest.json"]


def test_files_that_no_store_could_have_written_are_not_named(folder: FolderStore, root: Path) -> None:
    folder.swap("latest.json", b"{}", None)
    for name in ("My notes.txt", ".hidden", "~latest.json"):
        (root / name).write_bytes(b"")
    assert folder.names() == ["latest.json"]


@pytest.mark.parametrize("name", ["linked/plan.json", "plan.json"])
def test_nothing_outside_is_reached_through_a_link(folder: FolderStore, root: Path, outside: Path, name: str) -> None:
    folder.swap("latest.json", b"{}", None)
    (root / "linked").symlink_to(outside)
    (root / "plan.json").symlink_to(outside / "plan.json")

    def create() -> None:
        with folder.create(name, replace=True) as writer:
            writer.write(b"changed")

    for action in (
        lambda: folder.read(name),
        lambda: folder.swap(name, b"changed", hashlib.sha256(b"secret").hexdigest()),
        lambda: folder.delete(name),
        create,
    ):
        with pytest.raises(StoreError, match="link"):
            action()
    assert folder.names() == ["latest.json"]
    assert files(outside) == {"plan.json": b"secret"}


def test_a_store_may_itself_be_behind_a_link(root: Path, tmp_path: Path) -> None:
    root.mkdir()
    (tmp_path / "link").symlink_to(root)
    store = FolderStore(tmp_path / "link")
    store.swap("latest.json", b"{}", None)
    assert (store.names(), files(root)) == (["latest.json"], {"latest.json": b"{}"})


def test_the_next_writer_removes_what_a_dead_one_left_but_not_what_a_living_one_writes(
    folder: FolderStore, root: Path
) -> None:
    with folder.create("living") as writer:
        writer.write(b"a" * MEGABYTE)
        (root / ".partial" / "0123456789abcdef").write_bytes(b"left behind")
        folder.swap("latest.json", b"{}", None)
        assert len(list((root / ".partial").iterdir())) == 1
    assert files(root) == {"latest.json": b"{}", "living": b"a" * MEGABYTE}


@linux
def test_a_full_disk_is_told_and_nothing_is_left(folder: FolderStore, root: Path) -> None:
    folder.swap("latest.json", b"first", None)

    def create() -> None:
        with folder.create("part") as writer, Path("/dev/full").open("wb") as full:
            os.dup2(full.fileno(), writer.fileno())
            writer.write(b"a" * MEGABYTE)

    with pytest.raises(StoreFull, match="SNAPSHOT_KEEP") as caught:
        create()
    assert caught.value.code == "ENOSPC"
    assert files(root) == {"latest.json": b"first"}


@linux
def test_a_disk_that_is_full_at_the_last_byte_is_told_too(folder: FolderStore, root: Path) -> None:
    def create() -> None:
        with folder.create("part") as writer, Path("/dev/full").open("wb") as full:
            os.dup2(full.fileno(), writer.fileno())
            writer.write(b"a")  # stays in the buffer until the block ends

    with pytest.raises(StoreFull):
        create()
    assert files(root) == {}


FILE_SIZE_LIMIT = """
import resource, signal, sys
from entra_users.errors import StoreFull
from entra_users.store import open_store

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = open_store(sys.argv[1])
etag = store.swap("latest.json", b"first", None)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    store.swap("latest.json", bytes(1_000_000), etag)
except StoreFull as error:
    print(error.code, store.names(), store.read("latest.json").data)
"""


def test_a_limit_on_files_leaves_the_old_object(root: Path) -> None:
    command = [sys.executable, "-c", FILE_SIZE_LIMIT, str(root)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout == "EFBIG ['latest.json'] b'first'\n"
    assert files(root) == {"latest.json": b"first"}


def test_a_folder_without_a_right_to_it_is_told_with_what_to_do(forbidden: FolderStore) -> None:
    def create() -> None:
        with forbidden.create("part") as writer:
            writer.write(b"a")

    for action in (
        lambda: forbidden.read("latest.json"),
        lambda: forbidden.swap("latest.json", b"second", None),
        lambda: forbidden.delete("latest.json"),
        forbidden.names,
        create,
    ):
        with pytest.raises(StoreDenied, match="Let the account that runs this read and write there") as caught:
            action()
        assert caught.value.code == "EACCES"


@linux
@pytest.mark.parametrize("size", [10, -1])
def test_a_disk_that_fails_while_an_object_is_read_is_told(folder: FolderStore, size: int) -> None:
    folder.swap("latest.json", b"first", None)
    with folder.open("latest.json") as stream, Path("/proc/self/mem").open("rb") as failing:
        os.dup2(failing.fileno(), stream.fileno())
        with pytest.raises(StoreUnavailable, match=r"Could not read .*latest.json: Input/output error") as caught:
            stream.read(size)
    assert caught.value.code == "EIO"


def test_what_stands_in_the_way_of_an_object_is_told(folder: FolderStore, root: Path) -> None:
    folder.swap("runs/1", b"{}", None)
    for name in ("runs/1/plan.json", "runs"):
        with pytest.raises(StoreError, match="Something else has that name"):
            folder.swap(name, b"{}", None)
        with pytest.raises(ObjectNotFound):
            folder.read(name)
        folder.delete(name)
    assert files(root) == {"runs/1": b"{}"}


def test_a_file_in_place_of_the_folder_is_told_and_left_as_it_is(folder: FolderStore, root: Path) -> None:
    root.write_bytes(b"a file")
    for action in (folder.names, lambda: folder.swap("latest.json", b"{}", None)):
        with pytest.raises(StoreError, match="Something else has that name"):
            action()
    with pytest.raises(ObjectNotFound):
        folder.read("latest.json")
    assert root.read_bytes() == b"a file"


def test_a_folder_that_was_removed_has_no_names(folder: FolderStore, root: Path) -> None:
    assert folder.names("runs/") == []
    folder.swap("runs/1/plan.json", b"{}", None)
    shutil.rmtree(root)
    assert folder.names() == []


COUNT = """
import sys
from entra_users.errors import ObjectChanged
from entra_users.store import open_store

store = open_store(sys.argv[1])
added = 0
while added < 25:
    counter = store.read("counter")
    try:
        store.swap("counter", str(int(counter.data) + 1).encode(), counter.etag)
    except ObjectChanged:
        continue
    added += 1
"""


def test_processes_that_count_together_lose_no_count(folder: FolderStore, root: Path) -> None:
    folder.swap("counter", b"0", None)
    command = [sys.executable, "-c", COUNT, str(root)]
    counting = [subprocess.Popen(command) for _ in range(4)]
    assert [process.wait() for process in counting] == [0] * 4
    assert folder.read("counter").data == b"100"
    assert files(root) == {"counter": b"100"}
