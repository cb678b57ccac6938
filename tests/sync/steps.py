"""A store that tells of each step, so that a test can end a run, or a process, at any of them."""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from entra_users.store import Store, Stored

type Step = Callable[[str, str], object]
"""Told what is done and to which object; it may raise, or kill the process."""


class Killed(BaseException):
    """The process ended here: no code of the product may take this for an error that it can handle."""


class SteppedStore:
    """Another store, step by step."""

    def __init__(self, store: Store, step: Step) -> None:
        self._store = store
        self._step = step

    def read(self, name: str) -> Stored:
        """As the other."""
        self._step("read", name)
        return self._store.read(name)

    @contextmanager
    def open(self, name: str) -> Generator[BinaryIO]:
        """As the other."""
        self._step("open", name)
        with self._store.open(name) as stream:
            yield stream

    @contextmanager
    def create(self, name: str, *, replace: bool = False) -> Generator[BinaryIO]:
        """As the other; a step also before the object shows, and after."""
        self._step("create", name)
        with self._store.create(name, replace=replace) as writer:
            yield writer
            self._step("written", name)
        self._step("created", name)

    def swap(self, name: str, data: bytes, etag: str | None) -> str:
        """As the other; a step also after it."""
        self._step("swap", name)
        swapped = self._store.swap(name, data, etag)
        self._step("swapped", name)
        return swapped

    def names(self, prefix: str = "") -> list[str]:
        """As the other."""
        self._step("names", prefix)
        return self._store.names(prefix)

    def delete(self, name: str) -> None:
        """As the other; a step also after it."""
        self._step("delete", name)
        self._store.delete(name)
        self._step("deleted", name)

    def link(self, name: str, lifetime: float) -> str | None:
        """As the other."""
        return self._store.link(name, lifetime)


def end_at(step: int) -> Step:
    """Ends the process, as far as its code can tell, at this step, counted from 1."""
    left: Iterator[int] = iter(range(step - 1, -1, -1))

    def count(_action: str, _name: str) -> None:
        if next(left, 0) == 0:
            raise Killed

    return count
