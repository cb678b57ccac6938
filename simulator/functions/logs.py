"""What the host and its workers log, in one place and in order."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One record.

    Attributes:
        level: `Debug`, `Information`, `Warning`, `Error` or `Critical`.
        category: the Python logger's name; for the host's own records, its category.
        function: the function that was running, where one was.
        invocation: its invocation id.
        worker: index of the worker process the record came from.
    """

    time: datetime
    level: str
    category: str
    message: str
    function: str | None = None
    invocation: str | None = None
    worker: int | None = None

    def __str__(self) -> str:
        time = self.time.isoformat(timespec="milliseconds")
        scope = f" {self.function}" if self.function else ""
        return f"[{time}] {self.level}: {self.category}{scope}: {self.message}"


class Logs:
    """Collects records, and shows each to `show` as it comes."""

    def __init__(self, show: Callable[[LogEntry], object] | None = None) -> None:
        self._entries: list[LogEntry] = []
        self._lock = threading.Lock()
        self._show = show

    def add(
        self,
        level: str,
        category: str,
        message: str,
        *,
        function: str | None = None,
        invocation: str | None = None,
        worker: int | None = None,
    ) -> None:
        """Record one entry as of now."""
        entry = LogEntry(
            time=datetime.now(UTC),
            level=level,
            category=category,
            message=message,
            function=function,
            invocation=invocation,
            worker=worker,
        )
        logger.debug("%s", entry)
        with self._lock:
            self._entries.append(entry)
        if self._show:
            self._show(entry)

    def entries(self) -> list[LogEntry]:
        """Return a copy of what was logged so far, oldest first."""
        with self._lock:
            return list(self._entries)
