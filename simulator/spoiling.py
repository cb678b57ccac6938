"""Planned faults that only Graph itself can commit: pages that are not what they should be."""

from simulator.answers import GraphError
from simulator.gateway import Call
from simulator.properties import Record
from simulator.rendering import envelope

SPOILING = ("empty-page", "repeat-next-link", "foreign-next-link", "no-value", "cut-json", "duplicate-user")
"""Kinds of fault that spoil a page of users; `duplicate-user` does so in lists only."""


def page_faults(call: Call) -> set[str]:
    """The faults planned for this page.

    Raises:
        GraphError: 400: `expired-page-token` is planned, which meets only requests with a page token.
    """
    if "skiptoken" in call.options.values and call.fault("expired-page-token"):
        raise GraphError(400, "Directory_ExpiredPageToken", "The specified page token value has expired.")
    return {kind for kind in SPOILING if call.fault(kind)}


def spoiled(call: Call, head: Record, rows: list[bytes], faults: set[str], again: str) -> bytes:
    """A page with these faults; `again` is another link to the same page."""
    if faults & {"empty-page", "repeat-next-link", "foreign-next-link"}:
        head.pop("@odata.deltaLink", None)
    if "empty-page" in faults:
        rows, head["@odata.nextLink"] = [], again
    if "repeat-next-link" in faults:
        head["@odata.nextLink"] = f"{call.root}{call.path}?{call.request.scope['query_string'].decode('latin-1')}"
    if "foreign-next-link" in faults:
        head["@odata.nextLink"] = again.replace(call.root, "https://graph.example.net")
    body = envelope(head, None if "no-value" in faults else rows)
    return body[: len(body) // 2] if "cut-json" in faults else body
