"""Users as Graph gives them: the addresses to read them at, and reading all of them.

https://learn.microsoft.com/en-us/graph/api/user-list
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from urllib.parse import quote, urlencode

import msgspec

from entra_users.errors import MalformedPage, NotFound, PageTokenExpired
from entra_users.graph import Graph, Page

PAGE_SIZE = 999
"""The largest `$top` that Graph accepts for users."""

MAX_RESTARTS = 5
"""How often a read whose page token expired starts again before it fails."""


_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
# No userPrincipalName has a character that would lead elsewhere in Graph's path, such as to /users/delta().
_PRINCIPAL_NAME = re.compile(r"[^\s/\\()%@]+@[^\s/\\()%@]+")


def users_url(root: str, select: Sequence[str], *, where: str | None = None, advanced: bool = False) -> str:
    """The address of the first page of users.

    Args:
        root: the cloud's Graph address.
        select: the properties to read.
        where: a `$filter`.
        advanced: ask for `$count=true`, which together with the header `ConsistencyLevel: eventual` makes it an
            advanced query: https://learn.microsoft.com/en-us/graph/aad-advanced-queries
    """
    options = {"$select": ",".join(select), "$top": str(PAGE_SIZE)}
    if where is not None:
        options["$filter"] = where
    if advanced:
        options["$count"] = "true"
    return f"{root}/v1.0/users?{urlencode(options, safe='$,:', quote_via=quote)}"


def user_url(root: str, key: str, select: Sequence[str]) -> str:
    """The address of one user, by id or userPrincipalName.

    A name that begins with `$` is quoted as an OData key: https://learn.microsoft.com/en-us/graph/api/user-get

    Raises:
        NotFound: the key is neither.
    """
    if not is_id(key) and not _PRINCIPAL_NAME.fullmatch(key):
        raise NotFound(
            "Users have an id (a GUID) and a userPrincipalName such as adele@contoso.com; this is neither.",
            status=404,
            code="Request_ResourceNotFound",
        )
    address = (
        f"users('{quote(key.replace("'", "''"), safe="'@")}')"
        if key.startswith("$")
        else f"users/{quote(key, safe='@')}"
    )
    return f"{root}/v1.0/{address}?$select={','.join(select)}"


def is_id(key: str) -> bool:
    """Whether a user is named by id and not by userPrincipalName."""
    return _ID.fullmatch(key) is not None


class _Identified(msgspec.Struct, gc=False):
    id: str


class _Key(_Identified, gc=False):
    createdDateTime: str | None = None  # noqa: N815 -- Graph's name


class _Keys(msgspec.Struct):
    value: list[_Key]


_identified = msgspec.json.Decoder(_Identified)
_keys = msgspec.json.Decoder(_Keys)


def user_ids(users: Iterable[msgspec.Raw | bytes]) -> list[str]:
    """The ids of raw users, in their order.

    Raises:
        MalformedPage: one has no id.
    """
    try:
        return [_identified.decode(user).id for user in users]
    except ValueError:
        raise MalformedPage("Graph sent a user without an id, so that users cannot be told apart.") from None


def everyone(*created: str | None) -> bool:
    """Whether users with these `createdDateTime`s are all wanted: yes."""
    del created
    return True


def read_users(
    graph: Graph, url: str, *, advanced: bool = False, wanted: Callable[..., bool] = everyone
) -> Iterator[list[msgspec.Raw]]:
    """All users on the pages from `url` on, each exactly once, as the bytes Graph sent; one list a page.

    A read whose page token expires starts again from its first page, at most 5 times; a user that was given already
    is not given again. Memory holds the ids of this read (about 120 bytes a user), never users.

    Args:
        graph: to read from.
        url: of the first page.
        advanced: as `Graph.pages`.
        wanted: given `createdDateTime`s, whether users with these are all wanted; any who is not is left out.

    Raises:
        PageTokenExpired: it expired again after the last restart.
        EntraUsersError: as `Graph.pages`; what was given before is then not the whole.
    """
    seen: dict[str, None] = {}  # a dict, since a set takes three times its memory
    restarts = 0
    while True:
        try:
            for page in graph.pages(url, advanced=advanced):
                yield _fresh(page, seen, wanted)
                del page  # as in `Graph.pages`
        except PageTokenExpired:
            restarts += 1
            if restarts > MAX_RESTARTS:
                raise
        else:
            return


def _fresh(page: Page, seen: dict[str, None], wanted: Callable[..., bool]) -> list[msgspec.Raw]:
    """The users of a page that are wanted and were not seen before; mostly all, so that is tried for all at once."""
    try:
        keys = _keys.decode(page.body).value
    except ValueError:
        raise MalformedPage(
            "Graph sent a user without an id, or created when no date is, who cannot be told apart."
        ) from None
    ids = dict.fromkeys([key.id for key in keys])
    if len(ids) == len(keys) and seen.keys().isdisjoint(ids) and wanted(*[key.createdDateTime for key in keys]):
        seen |= ids
        return page.users
    fresh: list[msgspec.Raw] = []
    for key, user in zip(keys, page.users, strict=True):
        if key.id not in seen and wanted(key.createdDateTime):
            seen[key.id] = None
            fresh.append(user)
    return fresh
