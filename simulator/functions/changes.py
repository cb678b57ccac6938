"""A wake-up call for whatever waits in the host's event loop."""

import asyncio


class Changes:
    """Tells all that wait that something changed: a message came, an invocation ended, a worker is up."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()

    def next(self) -> asyncio.Event:
        """Return the event of the next change; to miss none, take it before looking at what may change."""
        return self._event

    def notify(self) -> None:
        """Wake all that wait; from any thread."""
        self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        event, self._event = self._event, asyncio.Event()
        event.set()
