"""Changes since a delta link.

https://learn.microsoft.com/en-us/graph/delta-query-overview
https://learn.microsoft.com/en-us/graph/api/user-delta
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from entra_users.errors import MalformedPage, PageTokenExpired, ResyncRequired
from entra_users.graph import Graph
from entra_users.users import MAX_RESTARTS

MAX_CHANGES = 50_000
"""More changes than this are not merged but read anew with everything else: they must fit in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """The last that Graph said of each user who changed, and where the next changes begin."""

    users: Mapping[str, msgspec.Raw | None]
    """By id, last changed last: the properties that were ever set, or None for who is no longer there."""
    link: str = field(repr=False)


class _Changed(msgspec.Struct):
    id: str
    removed: dict[str, Any] | None = msgspec.field(name="@removed", default=None)


_changed = msgspec.json.Decoder(_Changed)


def latest_link(graph: Graph, select: Sequence[str]) -> str:
    """A delta link that leads to all changes from now on: taken before a full read, it leads to what the read missed.

    Raises:
        BadQuery: the tenant has no delta queries (Azure AD B2C, External ID).
        MalformedPage: Graph gave no delta link.
        EntraUsersError: as `Graph.page`.
    """
    return read_changes(graph, f"{graph.root}/v1.0/users/delta?$select={','.join(select)}&$deltatoken=latest").link


def read_changes(graph: Graph, link: str) -> Changes:
    """All changes since a delta link.

    One user may come several times, in any order, and again in a later round: what is said last counts.

    Raises:
        ResyncRequired: the link is no longer valid, or there are more than 50,000 changes.
        MalformedPage: the last page has no delta link, so that changes may be missing.
        EntraUsersError: as `Graph.pages`.
    """
    restarts = 0
    while True:
        try:
            return _read_round(graph, link)
        except PageTokenExpired:
            restarts += 1
            if restarts > MAX_RESTARTS:
                raise


def _read_round(graph: Graph, link: str) -> Changes:
    users: dict[str, msgspec.Raw | None] = {}
    following = None
    for page in graph.pages(link):
        for item in page.users:
            try:
                change = _changed.decode(item)
            except msgspec.DecodeError as error:
                raise MalformedPage("Graph sent a change without the id of whom it concerns.") from error
            # Taken out first, so that the order is that of each user's last change.
            earlier = users.pop(change.id, None)
            users[change.id] = None if change.removed is not None else _laid_over(earlier, item)
        if len(users) > MAX_CHANGES:
            raise ResyncRequired(f"More than {MAX_CHANGES:,} users changed: a full read is faster.", code="manyChanges")
        following = page.delta_link
    if following is None:
        raise MalformedPage("Graph's last page of changes came without a delta link, so that some may be missing.")
    return Changes(users=users, link=following)


def _laid_over(earlier: msgspec.Raw | None, item: msgspec.Raw) -> msgspec.Raw:
    """What a round has said of a user so far: each time it is at least what changed, and not always all there is.

    https://learn.microsoft.com/en-us/graph/delta-query-overview#resource-representation-in-the-delta-query-response
    """
    if earlier is None:
        return item.copy()
    said: list[dict[str, Any]] = [msgspec.json.decode(each) for each in (earlier, item)]
    return msgspec.Raw(msgspec.json.encode(said[0] | said[1]))
