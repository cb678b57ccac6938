"""Watches the whole suite for secrets: every log record, those of the Functions host's workers among them, every error,
and what the programs that tests run print.

What is secret is known by its value, where the simulator made it up, and by its form: tokens, private keys, page tokens
and delta tokens of the simulated Graph, signatures of storage. What is found is told by kind and place, never itself.
"""

import base64
import binascii
import json
import logging
import re
import subprocess
import sys
import threading
import traceback
import weakref
from collections.abc import Callable, Iterable, Iterator
from types import CodeType, TracebackType
from typing import Any, Self

from entra_users.errors import EntraUsersError
from simulator import Simulator

_FORMS = {
    "a token": re.compile(r"\beyJ[\w-]{10,}"),
    "a private key": re.compile(r"PRIVATE KEY-----"),
    "a page or delta token": re.compile(r"(?:skip|delta)token(?:=|%3d)(?!latest\b)[\w%-]{8}", re.IGNORECASE),
    "a continuation": re.compile(r"L3YxLjAvdXNlcnM"),  # how "/v1.0/users" begins in base64
    "a signature of storage": re.compile(r"\bsig=[\w%+/]{20}"),
    "a key of storage": re.compile(r"AccountKey=\w"),
}
_WORKERS = logging.getLogger("simulator.functions.logs")
_COMMUNICATE = subprocess.Popen.communicate
# What the app answers a caller with belongs to the caller.
_ANSWERED = re.compile(r'"@odata\.nextLink": ?"http://(127\.0\.0\.1|localhost):[^"]*"')
_WORDS = re.compile(r"[\w-]{24,}")


def leaks_in(text: str, known: Iterable[str] = ()) -> list[str]:
    """The kinds of secret that a text holds; `known` are secrets by value."""
    found = [kind for kind, form in _FORMS.items() if form.search(text)]
    if any(map(_is_sealed, _WORDS.findall(text))):
        found.append("a page token by itself")
    if any(secret in text for secret in known):
        found.append("a secret")
    return found


def secrets_of(azure: Simulator) -> Iterator[str]:
    """What the simulator knows that is told to nobody."""
    yield azure.environment["IDENTITY_HEADER"]
    for application in azure.entra.applications.values():
        yield from (secret.value for secret in application.secrets)
    for vault in azure.vaults.values():
        yield from (version.value for versions in vault._secrets.values() for version in versions)


class Leaks:
    """What was seen since the last check, as a context; what does not come by itself is given to `note`."""

    def __init__(self) -> None:
        self.azure: Simulator | None = None
        self._known: set[str] = set()
        self._seen: list[tuple[str, str]] = []
        self._errors: weakref.WeakSet[EntraUsersError] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._handler = _Handler(self.note)

    def __enter__(self) -> Self:
        logging.getLogger().addHandler(self._handler)
        _WORKERS.setLevel(logging.DEBUG)
        subprocess.Popen.communicate = _noted(subprocess.Popen.communicate, self.note)
        monitoring = sys.monitoring
        monitoring.use_tool_id(monitoring.PROFILER_ID, "leaks")
        monitoring.register_callback(monitoring.PROFILER_ID, monitoring.events.RAISE, self._raised)
        monitoring.set_events(monitoring.PROFILER_ID, monitoring.events.RAISE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        sys.monitoring.set_events(sys.monitoring.PROFILER_ID, 0)
        sys.monitoring.free_tool_id(sys.monitoring.PROFILER_ID)
        subprocess.Popen.communicate = _COMMUNICATE
        logging.getLogger().removeHandler(self._handler)

    def know(self, *secrets: str) -> None:
        """Secrets that only the caller knows, such as a key of the Functions host."""
        self._known.update(secrets)

    def note(self, where: str, text: str) -> None:
        """Look at a text at the next check."""
        with self._lock:
            self._seen.append((where, text))

    def check(self) -> None:
        """Raise AssertionError if anything seen since the last check holds a secret."""
        if self.azure is not None:
            # Short ones are made up by tests that say nothing of secrets.
            self._known.update(secret for secret in secrets_of(self.azure) if len(secret) > 8)
        with self._lock:
            seen, self._seen = self._seen, []
        found = [f"{kind} in {where}" for where, text in seen for kind in leaks_in(text, self._known)]
        assert not found, f"leaked: {', '.join(dict.fromkeys(found))}"

    def _raised(self, _code: CodeType, _offset: int, error: BaseException) -> None:
        if isinstance(error, EntraUsersError) and error not in self._errors:
            self._errors.add(error)
            told = [str(error), repr(error), repr(error.args), *traceback.format_exception(error)]
            self.note(f"the error {type(error).__name__}", "\n".join(told))


def _noted(
    communicate: Callable[..., tuple[Any, Any]], note: Callable[[str, str], None]
) -> Callable[..., tuple[Any, Any]]:
    """The same, after what the program printed was noted: `subprocess.run` and others read it by this method."""

    def noted(program: subprocess.Popen[Any], *arguments: Any, **options: Any) -> tuple[Any, Any]:
        printed = communicate(program, *arguments, **options)
        for each in filter(None, printed):
            text = each if isinstance(each, str) else each.decode(errors="replace")
            note("what a program printed", _ANSWERED.sub("", text))
        return printed

    return noted


class _Handler(logging.Handler):
    def __init__(self, note: Callable[[str, str], None]) -> None:
        super().__init__()
        self._note = note

    def emit(self, record: logging.LogRecord) -> None:
        self._note(f"the log of {record.name}", self.format(record))


def _is_sealed(word: str) -> bool:
    """Whether a word is a page token of the simulator: a list in JSON behind twelve bytes that sign it."""
    try:
        return isinstance(json.loads(base64.urlsafe_b64decode(word + "=" * (-len(word) % 4))[12:]), list)
    except (ValueError, binascii.Error):
        return False
