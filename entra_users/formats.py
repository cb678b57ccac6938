"""Raw users as JSON, NDJSON or CSV; JSON and NDJSON are the bytes Graph sent, never parsed and rebuilt."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import batched, chain
from typing import Any

import msgspec

from entra_users.errors import MalformedPage

MEDIA_TYPES = {"json": "application/json", "ndjson": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}
"""The formats, and what each is called over HTTP."""

# What a spreadsheet takes for a formula: https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


_user = msgspec.json.Decoder(dict[str, Any])


def document(pages: Iterable[Sequence[msgspec.Raw]], form: str, columns: Sequence[str]) -> Iterator[bytes]:
    """One whole document of all users, in pieces of a page or less.

    Args:
        pages: of users.
        form: `json` (Graph's own shape, `{"value": [...]}`), `ndjson` (one user a line) or `csv` (with a header line).
        columns: of the CSV, in order; the other forms hold what Graph sent.
    """
    if form == "ndjson":
        yield from chain.from_iterable(map(ndjson_pieces, pages))
    elif form == "csv":
        yield csv_lines([columns])
        for users in pages:
            yield csv_rows(users, columns)
    else:
        yield b'{"value":[\n'
        separator = b""
        for users in filter(None, pages):
            yield separator + b",\n".join(users)
            separator = b",\n"
        yield b"\n]}\n"


def ndjson(users: Sequence[msgspec.Raw]) -> bytes:
    """One user a line, each line ended; a page's users have no line breaks of their own."""
    return b"\n".join([*users, b""])


def ndjson_pieces(users: Sequence[msgspec.Raw]) -> Iterator[bytes]:
    """The same in pieces of 100 users: what fits a processor's cache is copied, compressed and written faster."""
    return map(ndjson, batched(users, 100, strict=False))


def csv_rows(users: Iterable[msgspec.Raw], columns: Sequence[str]) -> bytes:
    """One line a user (RFC 4180, UTF-8); null is an empty cell, what has members of its own is JSON.

    A cell that a spreadsheet would take for a formula begins with an apostrophe.

    Raises:
        MalformedPage: one is not a user.
    """
    try:
        return csv_lines([_cell(user.get(name)) for name in columns] for user in map(_user.decode, users))
    except (ValueError, RecursionError):
        raise MalformedPage("Graph sent a user that is not a JSON object.") from None


def csv_lines(rows: Iterable[Iterable[str]]) -> bytes:
    """Rows of cells as CSV."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return f"'{text}" if text.startswith(_FORMULA) else text
