"""Files of lines in a store: gzip, counted and hashed while they are written, verified while they are read."""

import hashlib
from collections.abc import Generator, Iterable, Iterator
from typing import BinaryIO

from isal import isal_zlib

from entra_users.errors import CorruptObject, ObjectChanged
from entra_users.snapshot import File
from entra_users.store import Store

_GZIP = 31  # zlib's number for the gzip format
_LEVEL = 1  # a few percent larger than level 2, in two thirds of its time
_CHUNK = 1 << 20
_REMEDY = "Start a full run; until it ends, use an older snapshot."


def write_file(store: Store, name: str, lines: Iterable[bytes]) -> File:
    """Write lines as a file that is not there yet, and never in part.

    When another attempt at the same work has written it meanwhile, its file stands, and is read to be described.

    Args:
        store: to write to.
        name: of the file.
        lines: blocks of whole lines, each line ended.

    Raises:
        StoreError: as `Store.create`.
    """
    compressor = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, _GZIP)
    tally, count = _Tally(), 0
    try:
        with store.create(name) as file:
            for block in lines:
                count += block.count(b"\n")
                file.write(tally.of(compressor.compress(block)))
            file.write(tally.of(compressor.flush()))
    except ObjectChanged:
        return describe_file(store, name)
    return File(name=name, lines=count, bytes=tally.bytes, sha256=tally.sha256)


def read_lines(store: Store, file: File) -> Generator[list[bytes]]:
    """The lines of a file without their ends, in lists of about a megabyte.

    Raises:
        CorruptObject: after the last good line, if the file is not what its manifest or receipt says; nothing that was
            read may then be used.
        StoreError: as `Store.open`.
    """
    with store.open(file.name) as stream:
        yield from _verified(stream, file)


def _verified(stream: BinaryIO, file: File) -> Iterator[list[bytes]]:
    tally, count, rest = _Tally(), 0, b""
    for block in _inflated(stream, file.name, tally):
        lines = (rest + block).split(b"\n")
        rest = lines.pop()
        count += len(lines)
        yield lines
    if tally.sha256 != file.sha256 or count != file.lines or rest:
        raise CorruptObject(f"{file.name} is not what was written: its sha256 or number of lines differs. {_REMEDY}")


def describe_file(store: Store, name: str) -> File:
    """What a file is that was written before, maybe by another.

    Raises:
        CorruptObject: it is not a whole file.
        StoreError: as `Store.open`.
    """
    tally = _Tally()
    with store.open(name) as stream:
        count = sum(block.count(b"\n") for block in _inflated(stream, name, tally))
    return File(name=name, lines=count, bytes=tally.bytes, sha256=tally.sha256)


class _Tally:
    """Size and hash of what passes through."""

    def __init__(self) -> None:
        self.bytes = 0
        self._digest = hashlib.sha256()

    def of(self, data: bytes) -> bytes:
        """The same data, taken into account."""
        self.bytes += len(data)
        self._digest.update(data)
        return data

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


def _inflated(stream: BinaryIO, name: str, tally: "_Tally") -> Iterator[bytes]:
    """What a gzip stream holds, in blocks of at most a megabyte: a megabyte of gzip can be many of JSON."""
    decompressor = isal_zlib.decompressobj(_GZIP)
    try:
        while data := stream.read(_CHUNK):
            tally.of(data)
            while data:
                yield decompressor.decompress(data, _CHUNK)
                data = decompressor.unconsumed_tail
        yield decompressor.flush()
    except isal_zlib.error as error:
        raise CorruptObject(f"{name} is damaged: {error}. {_REMEDY}") from error
    if not decompressor.eof:
        raise CorruptObject(f"{name} is damaged: it ends early. {_REMEDY}")
