"""A store that is a folder: one file for each object, moved into place when it is complete and on the disk.

What is still being written lies in `.partial`, a name that no object can have. The lock `.lock`, which the system takes
from whoever dies, lets one process at a time change what readers see; readers need none.
"""

import errno
import hashlib
import io
import os
import sys
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, override

from entra_users.errors import ObjectChanged, ObjectNotFound, StoreDenied, StoreError, StoreFull, StoreUnavailable
from entra_users.store import Stored, check_name, check_prefix, is_name

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

_BUFFER = 256 * 1024
_MISSING = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR}
_FAULTS: dict[int, tuple[type[StoreError], str]] = {
    **dict.fromkeys(
        (errno.EACCES, errno.EPERM, errno.EROFS),
        (StoreDenied, "Let the account that runs this read and write there, or set USERS_STORE to another folder."),
    ),
    **dict.fromkeys(
        (errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
        (StoreFull, "Make room there, keep fewer snapshots (SNAPSHOT_KEEP), or set USERS_STORE to a larger disk."),
    ),
    **dict.fromkeys(
        (errno.EEXIST, errno.ENOTDIR, errno.EISDIR),
        (StoreError, "Something else has that name: move it away, or set USERS_STORE to a folder of its own."),
    ),
}

if sys.platform == "win32":  # pragma: no cover -- the same in Windows' words; coverage is measured on POSIX
    import msvcrt

    def _lock(descriptor: int, *, wait: bool) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)

    def _make_durable(folder: Path) -> None:
        """Nothing to do: Windows cannot flush a folder, and NTFS keeps a journal of names."""
        del folder
else:
    import fcntl

    def _lock(descriptor: int, *, wait: bool) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _make_durable(folder: Path) -> None:
        """Let the names in a folder outlive a power failure: flushing a file does not flush its name."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class FolderStore:
    """Objects as files below `folder`, which the first write makes, open to its owner alone."""

    def __init__(self, folder: Path) -> None:
        self._root = folder.resolve()
        self._partial = self._root / ".partial"

    def read(self, name: str) -> Stored:
        """The whole of a small object; its ETag is a hash of its bytes."""
        with self.open(name) as stream:
            data = stream.read()
        return Stored(data=data, etag=_etag(data))

    @contextmanager
    def open(self, name: str) -> Generator[BinaryIO]:
        """An object as a stream; one that is written anew meanwhile is still read as it was."""
        path = self._path(name)
        with _named("read", path):
            file = _File(path, "rb", path)
        with io.BufferedReader(file, _BUFFER) as stream:
            yield stream

    @contextmanager
    def create(self, name: str, *, replace: bool = False) -> Generator[BinaryIO]:
        """A writer for a new object."""
        path = self._path(name)

        def check() -> None:
            if not replace and path.exists():
                raise ObjectChanged(f"{path} exists already; it was left as it is.")

        with self._placing(path, check) as writer:
            yield writer

    def swap(self, name: str, data: bytes, etag: str | None) -> str:
        """Write a small object if it still is what `etag` stands for."""
        path = self._path(name)

        def check() -> None:
            if etag != (_etag(path.read_bytes()) if path.exists() else None):
                raise ObjectChanged(f"{path} was written by another since it was read; it was left as it is.")

        with self._placing(path, check) as writer:
            writer.write(data)
        return _etag(data)

    def names(self, prefix: str = "") -> list[str]:
        """The names that begin with `prefix`, sorted; files that no store could have written are passed over."""
        check_prefix(prefix)
        with _named("list", self._root):
            names = [file.relative_to(self._root).as_posix() for file in _files(self._root)]
        return sorted(name for name in names if name.startswith(prefix) and is_name(name))

    def delete(self, name: str) -> None:
        """Remove an object, and the folders that it leaves empty."""
        path = self._path(name)
        with _named("remove", path):
            if not path.is_file():
                return
        with self._locked(path):
            path.unlink(missing_ok=True)
            with suppress(OSError):  # not empty: the end of what can be removed
                for folder in path.relative_to(self._root).parents[:-1]:
                    (self._root / folder).rmdir()

    def link(self, name: str, lifetime: float) -> str | None:
        """None: a folder's files have no URL."""
        del lifetime
        check_name(name)

    def _path(self, name: str) -> Path:
        path = self._root / check_name(name)
        if path.resolve() != path:
            raise StoreError(f"{path} leads elsewhere through a link. Move the link away.")
        return path

    @contextmanager
    def _placing(self, path: Path, check: Callable[[], None]) -> Generator[BinaryIO]:
        """A writer to a file that moves to `path` after the block, if `check` then raises nothing."""
        partial = self._partial / uuid.uuid4().hex
        with self._locked(path):
            self._sweep()
            file = _File(partial, "xb", path)
            _lock(file.fileno(), wait=False)
        writer = io.BufferedWriter(file, _BUFFER)
        try:
            yield writer
            writer.flush()
            with _named("write", path):
                os.fsync(file.fileno())
            with self._locked(path):
                check()
                self._make(path.parent)
                writer.close()  # Windows moves no open file
                partial.replace(path)
                _make_durable(path.parent)
        except BaseException:
            file.abandoned = True
            raise
        finally:
            writer.close()
            with suppress(OSError):  # the next writer's sweep will remove it
                partial.unlink(missing_ok=True)

    @contextmanager
    def _locked(self, path: Path) -> Generator[None]:
        """Change what readers see as the only one, with failures told as those of writing `path`."""
        with _named("write", path):
            self._make(self._partial)
            with (self._root / ".lock").open("ab") as lock:
                _lock(lock.fileno(), wait=True)
                yield

    def _sweep(self) -> None:
        """Remove what writers left behind that died: nobody holds a lock on it any more."""
        for leftover in self._partial.iterdir():
            with suppress(OSError):  # a living writer's
                with leftover.open("rb+") as file:
                    _lock(file.fileno(), wait=False)
                leftover.unlink()

    def _make(self, folder: Path) -> None:
        """Make a folder and its parents, so that they outlive a power failure."""
        if not folder.is_dir():
            self._make(folder.parent)
            # Who may enter the store is for its owner to widen: it holds the data of people.
            folder.mkdir(mode=0o700 if folder == self._root else 0o777, exist_ok=True)
            _make_durable(folder.parent)


class _File(io.FileIO):
    """A file whose failures are named errors; once `abandoned`, it drops what is still to be written."""

    def __init__(self, path: Path, mode: str, shown: Path) -> None:
        super().__init__(path, mode)
        self.abandoned = False
        self._shown = shown

    @override
    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        with _named("read", self._shown):
            return super().readinto(buffer)

    @override
    def readall(self) -> bytes:
        with _named("read", self._shown):
            return super().readall()

    @override
    def write(self, b: "ReadableBuffer", /) -> int:
        if self.abandoned:
            return len(memoryview(b))
        with _named("write", self._shown):
            return super().write(b)


@contextmanager
def _named(action: str, path: Path) -> Generator[None]:
    """Tell the system's errors as ours."""
    try:
        yield
    except OSError as error:
        number = error.errno or 0
        if action == "read" and number in _MISSING:
            raise ObjectNotFound(f"There is no {path}.", code=errno.errorcode.get(number)) from error
        kind, remedy = _FAULTS.get(number, (StoreUnavailable, "Try again; if it stays, check that disk or share."))
        raise kind(
            f"Could not {action} {path}: {error.strerror}. {remedy}", code=errno.errorcode.get(number)
        ) from error


def _files(folder: Path) -> Iterator[Path]:
    """All files below a folder, links left out."""
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:  # never written to, or removed meanwhile
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _files(folder / entry.name)
        elif entry.is_file(follow_symlinks=False):
            yield folder / entry.name


def _etag(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
