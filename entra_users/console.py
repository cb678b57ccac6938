"""What the console's `users` command does: read one page or all users, and write them whole or not at all."""

import errno
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TextIO

import msgspec

from entra_users.errors import EntraUsersError, MalformedPage
from entra_users.graph import Graph

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])


def one_answer(graph: Graph, url: str) -> tuple[bytes, bool]:
    """An API's answer as indented JSON, and whether more follows; links that are continuations are left out.

    Raises:
        MalformedPage: the answer is not JSON.
        EntraUsersError: as `Graph.get`.
    """
    body = graph.get(url).body
    try:
        if not body.lstrip().startswith(b"{"):
            return msgspec.json.format(body), False
        members = _OBJECT.decode(body)
    except (ValueError, RecursionError) as error:
        raise MalformedPage(f"{graph.root} answered with {len(body)} bytes that are not JSON: {error}.") from None
    members.pop("@odata.deltaLink", None)
    more = members.pop("@odata.nextLink", None) is not None
    return msgspec.json.format(msgspec.json.encode(members)), more


@contextmanager
def whole_output(path: Path | None) -> Generator[IO[bytes]]:
    """Where to write what becomes the file at `path`, or standard output, when the block ends, and not before.

    A read that fails midway thus leaves neither half a file nor half a stream that looks like all users.

    Raises:
        OSError: `path` cannot be written, or standard output was closed.
    """
    if path is None:
        if not sys.stdout:  # None where it was closed before the start
            raise OSError(errno.EBADF, "closed")
        with tempfile.TemporaryFile() as spool:
            yield spool
            spool.seek(0)
            shutil.copyfileobj(spool, sys.stdout.buffer, 1 << 20)
            sys.stdout.buffer.flush()
        return
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as part:
            try:
                yield part
                part.close()
                Path(part.name).replace(path)
            except BaseException:
                Path(part.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        error.filename = str(path)  # the name that was given, not the temporary one
        raise


class Progress:
    """A line on a terminal: users so far and users a second."""

    def __init__(self, terminal: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._terminal = terminal
        self._clock = clock

    def over(self, pages: Iterable[list[msgspec.Raw]]) -> Iterator[list[msgspec.Raw]]:
        """The same pages; the line is written anew with each, and ended when they end."""
        started, users = self._clock(), 0
        try:
            for page in pages:
                users += len(page)
                rate = users / max(self._clock() - started, 0.001)
                self._terminal.write(f"\r{users:,} users, {rate:,.0f} a second ")
                self._terminal.flush()
                yield page
        finally:
            self._terminal.write("\n")


def complain(error: EntraUsersError, advice: str) -> None:
    """Say on standard error what went wrong and what to do."""
    sys.stderr.write(f"error: {error}\n")
    if advice:
        sys.stderr.write(f"\n{advice}\n")
