"""Files of lines: what was written is read, and what was damaged is never taken for it."""

import gzip
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entra_users.errors import CorruptObject, ObjectNotFound, StoreError
from entra_users.parts import describe_file, read_lines, write_file
from entra_users.snapshot import File
from entra_users.store import Store

NAME = "snapshots/run/part-00000.ndjson.gz"
IN_A_FOLDER = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
LINES = st.lists(st.binary(max_size=40).map(lambda line: line.replace(b"\n", b"")), max_size=30)


def read(store: Store, file: File) -> list[bytes]:
    return [line for block in read_lines(store, file) for line in block]


def path_of(tmp_path: Path) -> Path:
    """Where the folder store keeps NAME."""
    return tmp_path / "users" / NAME


@IN_A_FOLDER
@given(blocks=st.lists(LINES, max_size=5))
def test_lines_are_read_as_they_were_written(store: Store, tmp_path: Path, blocks: list[list[bytes]]) -> None:
    store.delete(NAME)
    file = write_file(store, NAME, (b"".join(line + b"\n" for line in block) for block in blocks))
    lines = [line for block in blocks for line in block]
    data = path_of(tmp_path).read_bytes()
    assert gzip.decompress(data) == b"".join(line + b"\n" for line in lines)
    assert file == File(name=NAME, lines=len(lines), bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    assert read(store, file) == lines
    assert describe_file(store, NAME) == file


@pytest.mark.parametrize(
    "lines",
    [[b"x" * 5_000_000, b"y"], [b""] * 1_500_000, [b'{"id": "%d"}' % number for number in range(200_000)]],
    ids=["long", "many", "usual"],
)
def test_lines_are_read_in_blocks_of_about_a_megabyte(store: Store, lines: list[bytes]) -> None:
    file = write_file(store, NAME, [line + b"\n" for line in lines])
    blocks = list(read_lines(store, file))
    assert [line for block in blocks for line in block] == lines
    assert len(blocks) >= sum(len(line) + 1 for line in lines) >> 20
    assert describe_file(store, NAME) == file


def test_the_same_lines_are_the_same_file(store: Store) -> None:
    one = write_file(store, NAME, [b"a\nb\n", b"c\n"])
    other = write_file(store, "other.gz", [b"a\nb\n", b"c\n"])
    assert (one.sha256, one.bytes, one.lines) == (other.sha256, other.bytes, other.lines)


def test_a_file_that_exists_is_described_and_not_rewritten(store: Store) -> None:
    first = write_file(store, NAME, [b"a\n", b"b\n"])
    kept = store.read(NAME)
    assert write_file(store, NAME, [b"c\n"]) == first
    assert store.read(NAME) == kept


def test_a_file_whose_lines_end_in_an_error_is_not_there(store: Store) -> None:
    def lines() -> Iterator[bytes]:
        yield b"a\n" * 1_000_000
        raise CorruptObject("what it is made of is damaged")

    with pytest.raises(CorruptObject, match="what it is made of"):
        write_file(store, NAME, lines())
    assert store.names() == []
    assert write_file(store, NAME, [b"b\n"]).lines == 1


def test_a_missing_file_is_named(store: Store) -> None:
    with pytest.raises(ObjectNotFound, match="part-00000"):
        describe_file(store, NAME)
    with pytest.raises(ObjectNotFound, match="part-00000"):
        read(store, File(name=NAME, lines=0, bytes=0, sha256=""))


@pytest.fixture
def intact(store: Store) -> File:
    """A file of three lines."""
    return write_file(store, NAME, [b'{"id": "1"}\n{"id": "2"}\n', b'{"id": "3"}\n'])


def test_a_change_of_any_byte_is_noticed_at_the_end_at_the_latest(store: Store, tmp_path: Path, intact: File) -> None:
    path = path_of(tmp_path)
    data = path.read_bytes()
    for position in range(len(data)):
        for flipped in (0x01, 0x80, 0xFF):
            path.write_bytes(data[:position] + bytes([data[position] ^ flipped]) + data[position + 1 :])
            with pytest.raises(CorruptObject, match=NAME):
                read(store, intact)


def test_a_file_that_was_cut_short_anywhere_is_not_a_whole_file(store: Store, tmp_path: Path, intact: File) -> None:
    path = path_of(tmp_path)
    data = path.read_bytes()
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(CorruptObject, match="is damaged"):
            read(store, intact)
        with pytest.raises(CorruptObject, match="is damaged"):
            describe_file(store, NAME)
        with pytest.raises(CorruptObject, match="is damaged"):
            write_file(store, NAME, [])


@pytest.mark.parametrize("more", [b"\0", b"more", gzip.compress(b"4\n")])
def test_bytes_after_the_end_are_noticed(store: Store, tmp_path: Path, intact: File, more: bytes) -> None:
    path = path_of(tmp_path)
    path.write_bytes(path.read_bytes() + more)
    with pytest.raises(CorruptObject, match="is not what was written"):
        read(store, intact)


def test_another_whole_file_in_its_place_is_noticed(store: Store, tmp_path: Path, intact: File) -> None:
    path_of(tmp_path).write_bytes(gzip.compress(b'{"id": "1"}\n{"id": "2"}\n{"id": "4"}\n'))
    with pytest.raises(CorruptObject, match=r"its sha256 or number of lines differs\. Start a full run"):
        read(store, intact)


@pytest.mark.parametrize("lines", [2, 4])
def test_another_number_of_lines_than_was_noted_is_noticed(store: Store, intact: File, lines: int) -> None:
    noted = File(name=NAME, lines=lines, bytes=intact.bytes, sha256=intact.sha256)
    with pytest.raises(CorruptObject, match="is not what was written"):
        read(store, noted)


def test_a_last_line_without_an_end_is_no_line(store: Store) -> None:
    file = write_file(store, NAME, [b"a\nb"])
    with pytest.raises(CorruptObject, match="is not what was written"):
        read(store, file)


def test_a_name_that_leads_outside_is_refused(store: Store) -> None:
    with pytest.raises(StoreError, match="cannot be the name"):
        write_file(store, "../outside.gz", [b"a\n"])
