"""A writer that is killed at any moment leaves whole objects only."""

import hashlib
import random
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

import pytest

from entra_users.folder_store import FolderStore
from entra_users.store import Store
from simulator import Simulator
from simulator.azurite import Azurite

# Writes objects whose content tells whether it is whole, and then the manifest that names them, for ever; says a line
# before each step.
WRITER = """
import hashlib, sys
from entra_users.identity import azure_credential
from entra_users.store import open_store

def whole(text):
    return text + hashlib.sha256(text).hexdigest().encode()

store = open_store(sys.argv[1], credential=lambda: azure_credential(sys.argv[2]))
etag = store.read("latest.json").etag
for number in range(1_000_000):
    data = whole(str(number).encode() * 700_000)
    name = f"snapshots/{sys.argv[3]}-{number}/part-00000"
    with store.create(name) as writer:
        for start in range(0, len(data), 300_000):
            print("writing", flush=True)
            writer.write(data[start : start + 300_000])
        print("ending", flush=True)
    print("swapping", flush=True)
    etag = store.swap("latest.json", whole(name.encode()), etag)
"""


def whole(data: bytes) -> bool:
    return hashlib.sha256(data[:-64]).hexdigest().encode() == data[-64:]


def kill_a_writer(location: str, identity: str, run: int, after: int) -> None:
    """Start a writer, and kill it when it has said so many lines."""
    command = [sys.executable, "-c", WRITER, location, identity, str(run)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        said: BinaryIO = writer.stdout  # pyright: ignore[reportAssignmentType] -- it was asked for
        for _ in range(after):
            assert said.readline()
        writer.kill()
    assert writer.returncode == -9


def check(store: Store) -> None:
    """Every object that has a name is whole, and the manifest names one that is there."""
    names = store.names()
    for name in names:
        assert whole(store.read(name).data), name
    published = store.read("latest.json").data[:-64].decode()
    assert published in {"", *names}


@pytest.mark.parametrize("run", range(12))
def test_a_writer_killed_at_any_moment_leaves_only_whole_objects_in_a_folder(
    folder: FolderStore, tmp_path: Path, run: int
) -> None:
    folder.swap("latest.json", hashlib.sha256(b"").hexdigest().encode(), None)
    dice = random.Random(run)  # noqa: S311 -- where to kill, not a secret
    for again in range(2):
        kill_a_writer(str(tmp_path / "users"), "", again, dice.randrange(1, 60))
        check(folder)
    with folder.create("next") as writer:  # finds the lock free, and sweeps
        writer.write(hashlib.sha256(b"").hexdigest().encode())
    assert list((tmp_path / "users" / ".partial").iterdir()) == []
    check(folder)


@pytest.mark.parametrize("run", range(3))
def test_a_writer_killed_at_any_moment_leaves_only_whole_objects_in_a_container(
    azure: Simulator, azurite: Azurite, container: str, blob_store: Store, run: int
) -> None:
    blob_store.swap("latest.json", hashlib.sha256(b"").hexdigest().encode(), None)
    after = random.Random(run).randrange(1, 40)  # noqa: S311 -- where to kill, not a secret
    kill_a_writer(f"{container}/tenant", azure.entra.identity.client_id, run, after)
    check(blob_store)
