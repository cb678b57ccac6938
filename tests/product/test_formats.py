"""JSON, NDJSON and CSV of raw users."""

import csv
import io
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entra_users.errors import MalformedPage
from entra_users.formats import MEDIA_TYPES, csv_lines, csv_rows, document, ndjson

TEXT = st.text() | st.sampled_from(
    ["=1+1", "+x", "-2", "@SUM(A1)", "\t=1", "\r=1", "a,b", 'say "hi"', "two\nlines", "'="]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
COLUMNS = ("id", "displayName", "businessPhones")
USERS = st.dictionaries(st.sampled_from([*COLUMNS, "other"]), VALUES)
PAGES = st.lists(st.lists(USERS, max_size=4), max_size=4)
# Graph sends users without blanks; nothing promises that it always will.
ON_ONE_LINE = st.sampled_from([{"separators": (",", ":")}, {"ensure_ascii": False}, {"separators": ("\t, ", " : ")}])
SPELLINGS = ON_ONE_LINE | st.sampled_from([{"indent": 1}, {"indent": "\r\n\t"}])


def raw(pages: list[list[dict[str, Any]]], spelling: dict[str, Any]) -> list[list[msgspec.Raw]]:
    return [[msgspec.Raw(json.dumps(user, **spelling).encode()) for user in page] for page in pages]


def flat(pages: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    return [user for page in pages for user in page]


@given(PAGES, SPELLINGS)
def test_json_is_one_document_of_all_users_in_graphs_own_shape(
    pages: list[list[dict[str, Any]]], spelling: dict[str, Any]
) -> None:
    assert json.loads(b"".join(document(raw(pages, spelling), "json", COLUMNS))) == {"value": flat(pages)}


@given(PAGES, ON_ONE_LINE)
def test_ndjson_is_one_user_a_line(pages: list[list[dict[str, Any]]], spelling: dict[str, Any]) -> None:
    text = b"".join(document(raw(pages, spelling), "ndjson", COLUMNS))
    assert [json.loads(line) for line in text.split(b"\n")[:-1]] == flat(pages)
    assert text == b"" or text.endswith(b"\n")
    assert b"\r" not in text


@given(st.lists(USERS, max_size=4))
def test_json_and_ndjson_hold_the_bytes_that_graph_sent(users: list[dict[str, Any]]) -> None:
    sent = [json.dumps(user, separators=(",", ":")).encode() for user in users]
    page = [msgspec.Raw(each) for each in sent]
    assert ndjson(page) == b"".join(each + b"\n" for each in sent)
    assert b"".join(document([page], "json", COLUMNS)) == b'{"value":[\n' + b",\n".join(sent) + b"\n]}\n"


def cell(value: Any) -> str:
    """What a spreadsheet is to show."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") and text else text


@given(PAGES, SPELLINGS)
def test_csv_is_a_header_and_a_row_a_user_without_formulas(
    pages: list[list[dict[str, Any]]], spelling: dict[str, Any]
) -> None:
    text = b"".join(document(raw(pages, spelling), "csv", COLUMNS)).decode()
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert rows == [list(COLUMNS)] + [[cell(user.get(name)) for name in COLUMNS] for user in flat(pages)]
    assert not any(each.startswith(("=", "+", "-", "@", "\t", "\r")) for row in rows[1:] for each in row)


def test_csv_follows_rfc_4180() -> None:
    user = {"id": "1", "displayName": 'Adele "Ad" Vance, PhD', "businessPhones": ["+1 425", "x"], "n": -5, "b": True}
    page = [msgspec.Raw(msgspec.json.encode(user))]
    assert csv_rows(page, ["id", "displayName", "businessPhones", "n", "b", "none"]) == (
        b'1,"Adele ""Ad"" Vance, PhD","[""+1 425"",""x""]",\'-5,true,\r\n'
    )
    assert csv_lines([["id", "müller"]]) == "id,müller\r\n".encode()


@pytest.mark.parametrize("user", [b"1", b"null", b'["id"]', b'{"id": "\xff"}', b'{"id": ', b'{"id":"\\ud800"}'])
def test_what_is_not_a_user_is_an_error_and_no_row(user: bytes) -> None:
    with pytest.raises(MalformedPage):
        csv_rows([msgspec.Raw(b'{"id": "1"}'), msgspec.Raw(user)], ["id"])


def test_no_users_are_a_whole_document_too() -> None:
    assert [b"".join(document([], form, COLUMNS)) for form in MEDIA_TYPES] == [
        b'{"value":[\n\n]}\n',
        b"",
        b"id,displayName,businessPhones\r\n",
    ]


def test_pieces_come_a_page_at_a_time() -> None:
    """So that memory does not grow with the directory."""

    def pages() -> Any:
        yield [msgspec.Raw(b'{"id":"1"}')]
        raise AssertionError

    for form in MEDIA_TYPES:
        pieces = document(pages(), form, ["id"])
        first = b""
        while b"1" not in first:
            first += next(pieces)
        assert b"1" in first
