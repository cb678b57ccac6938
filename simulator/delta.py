"""Changes of users since a token: https://learn.microsoft.com/en-us/graph/api/user-delta.

The rules are those of https://learn.microsoft.com/en-us/graph/delta-query-overview.
"""

import random
import re
from dataclasses import dataclass, replace

from starlette.responses import Response

from simulator.answers import GraphError, bad_request, compress, json_answer, unsupported
from simulator.directory import Directory, Life, Version
from simulator.gateway import Call
from simulator.paging import BadToken, seal, unseal
from simulator.properties import DEFAULT_SELECT, Record
from simulator.query import read_select
from simulator.rendering import dump, envelope, objects, shown
from simulator.selection import Listed, Selection
from simulator.spoiling import page_faults, spoiled

PATH = "/v1.0/users/delta"
PAGE = 200
TOKEN_LIFE = 7 * 86_400.0
"""Seconds after which a token is no longer good."""
MOST_IDS = 50
_ID = re.compile(r"id\s+eq\s+'([^']+)'")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Round:
    """Where a client stands, as its token says.

    Attributes:
        since: the change after which it wants to know more; None to enumerate all users first.
        until: the change up to which this round goes.
        place: how far it has come.
        blank: whether this page was sent empty before.
        names: the properties tracked; None for the default ones.
        ids: the only users tracked; empty for all.
    """

    since: int | None
    until: int
    place: int = 0
    blank: bool = False
    names: tuple[str, ...] | None
    ids: tuple[str, ...]


def list_changes(call: Call) -> Response:
    """A page of changes, at most 200 users long; it may be empty though more follow."""
    directory, given = call.directory, call.options.values
    if directory.b2c:
        raise unsupported("Delta query is not supported in this tenant.")
    for name in ("expand", "orderby", "search", "count", "skip"):
        if name in given:
            raise unsupported(f"The query option '${name}' is not supported with delta query.")
    faults = page_faults(call)
    at = _stand(call)
    # https://learn.microsoft.com/en-us/graph/api/user-delta: minimal answers are for what changed since a delta link.
    minimal = "return=minimal" in call.request.headers.get("prefer", "") and at.since is not None
    latest = given.get("deltatoken", "").lower() == "latest"
    rows, after = ([], None) if latest else _page(directory, at, minimal=minimal)
    selected = f"({','.join(at.names)})" if at.names else ""
    head: Record = {"@odata.context": f"{call.root}/v1.0/$metadata#users{selected}"}
    if after is None:
        end = _Round(since=at.until, until=at.until, names=at.names, ids=at.ids)
        head["@odata.deltaLink"] = _link(call, "deltatoken", end)
    else:
        head["@odata.nextLink"] = _link(call, "skiptoken", after)
    if faults:
        body = spoiled(call, head, rows, faults, _link(call, "skiptoken", replace(at, blank=True)))
    else:
        body = envelope(head, rows)
    response = json_answer(compress(body) if call.gzip else body, compressed=call.gzip)
    if minimal:
        response.headers["preference-applied"] = "return=minimal"
    return response


def _stand(call: Call) -> _Round:
    """Where the client stands: at the beginning, or where its token says."""
    directory, given = call.directory, call.options.values
    names = read_select(call.options, call.roles, listing=True) if "select" in given else None
    kinds = [kind for kind in ("skiptoken", "deltatoken") if given.get(kind, "").lower() not in {"", "latest"}]
    if not kinds:
        ids = _read_ids(given["filter"]) if "filter" in given else ()
        return _Round(since=None, until=directory.seq, names=names, ids=ids)
    if len(kinds) > 1 or (names and "skiptoken" in kinds):
        raise bad_request("$skiptoken cannot be combined with other query options.")
    try:
        *numbers, kept_names, kept_ids, issued = unseal(directory.key, f"{PATH}?{kinds[0]}", given[kinds[0]])
    except BadToken as error:
        raise bad_request("Badly formed token.") from error
    names = names or (tuple(kept_names) if kept_names else None)
    _check_token(call, names, issued)
    since, until, place, blank = numbers
    until = until if kinds == ["skiptoken"] else directory.seq
    return _Round(since=since, until=until, place=place, blank=blank, names=names, ids=tuple(kept_ids))


def _check_token(call: Call, names: tuple[str, ...] | None, issued: float) -> None:
    """Refuse a token that is too old, or that a planned fault says is of no use any more."""
    if call.fault("delta-gone"):
        select = f"$select={','.join(names)}&" if names else ""
        headers = {"location": f"{call.root}{PATH}?{select}$deltatoken="}
        raise GraphError(410, "resyncRequired", "Resync is required: start anew from the location given.", headers)
    if call.fault("resync-required"):
        raise GraphError(400, "resyncRequired", "Resync is required.")
    if call.directory.clock() - issued > TOKEN_LIFE or call.fault("sync-state-not-found"):
        raise GraphError(400, "syncStateNotFound", "The sync state is not found: start anew.")


def _read_ids(text: str) -> tuple[str, ...]:
    terms = [_ID.fullmatch(term) for term in re.split(r"\s+or\s+", text.strip(), flags=re.IGNORECASE)]
    ids = tuple(term[1].lower() for term in terms if term)
    if len(ids) < len(terms) or len(ids) > MOST_IDS:
        raise unsupported(f"Delta query can be filtered by id only, and by up to {MOST_IDS} of them.")
    return ids


def _link(call: Call, kind: str, at: _Round) -> str:
    content = [at.since, at.until, at.place, at.blank, at.names, at.ids, call.directory.clock()]
    return f"{call.root}{PATH}?${kind}={seal(call.directory.key, f'{PATH}?{kind}', content)}"


def _page(directory: Directory, at: _Round, *, minimal: bool) -> tuple[list[bytes], _Round | None]:
    """A page, and where the next one begins (None at the end of the round)."""
    size = PAGE
    if directory.shuffle is not None:
        choice = random.Random(f"{directory.shuffle}/{at.since}/{at.until}/{at.place}")  # noqa: S311 (plays the service)
        size = choice.randint(PAGE // 20, PAGE)
        if not at.blank and choice.random() < 0.3:
            return [], replace(at, blank=True)
    if at.since is None:
        rows, place = _everyone(directory, at, size)
    else:
        key = (PATH, at.since, at.until, at.names, at.ids, minimal, directory.shuffle)
        changes: list[bytes] | None = directory.cache.get(key)
        if changes is None:
            changes = _changes(directory, at, at.since, minimal=minimal)
            directory.cache.put(key, changes, sum(map(len, changes)))
        rows = changes[at.place : at.place + size]
        place = at.place + size if at.place + size < len(changes) else None
    return rows, None if place is None else replace(at, place=place, blank=False)


def _everyone(directory: Directory, at: _Round, size: int) -> tuple[list[bytes], int | None]:
    """Users as they are now, without the properties they never had."""
    seq = directory.seq
    found = [directory.find(id_, seq) for id_ in at.ids]
    source = Listed([user for user in found if user]) if at.ids else Selection(directory)
    users, place = source.page(at.place, size, seq)
    rows = objects(directory, users, at.names or DEFAULT_SELECT, unset_too=False)
    if directory.shuffle is not None:
        gone = [] if at.place else [_removed(user["id"], Life.DELETED) for user in directory.deleted(seq)]
        rows = [*gone, *rows, *rows[:1]]
    return rows, place


def _changes(directory: Directory, at: _Round, since: int, *, minimal: bool) -> list[bytes]:
    """What changed in this round: one item a user, or one a change in an order of the service's own."""
    log = [(id_, version) for id_, version in directory.changes(since, at.until) if not at.ids or id_ in at.ids]
    names = at.names or DEFAULT_SELECT
    items: list[bytes | None] = []
    if directory.shuffle is None:
        # Put in again when met again, so that the order is that of the last changes.
        folded: dict[str, tuple[Version, frozenset[str]]] = {}
        for id_, version in log:
            _, before = folded.pop(id_, (None, frozenset[str]()))
            folded[id_] = version, before | version.names
        for id_, (version, changed) in folded.items():
            items.append(_item(id_, version, directory.version(id_, since), names, changed, minimal=minimal))
    else:
        choice = random.Random(f"{directory.shuffle}/{since}/{at.until}")  # noqa: S311 (plays the service)
        # Users come in any order; what is said of one user comes in the order in which it happened.
        versions: dict[str, list[Version]] = {}
        for id_, version in log:
            versions.setdefault(id_, []).append(version)
        order = [id_ for id_, _ in log]
        choice.shuffle(order)
        for id_ in order:
            version = versions[id_].pop(0)
            before = directory.version(id_, version.seq - 1)
            items.append(_item(id_, version, before, names, version.names, minimal=minimal))
        earlier = [
            pair for pair in directory.changes(max(0, since - 5), since) if pair[0] not in versions and not at.ids
        ]
        for id_ in {id_ for id_, _ in earlier}:
            version = directory.version(id_, at.until)
            if version:
                items.insert(
                    choice.randint(0, len(items)), _item(id_, version, None, names, version.names, minimal=False)
                )
    return [item for item in items if item is not None]


def _item(
    id_: str,
    version: Version,
    before: Version | None,
    names: tuple[str, ...],
    changed: frozenset[str],
    *,
    minimal: bool,
) -> bytes | None:
    """What a round says of a user; None if nothing that is tracked changed."""
    if version.life is not Life.LIVE:
        return _removed(id_, version.life)
    if before is None or before.life is not Life.LIVE:
        return dump(shown(version.record, names, unset_too=False))
    told = [name for name in names if name in changed]
    if not told:
        return None
    return dump(shown(version.record, ["id", *told] if minimal else names, unset_too=False))


def _removed(id_: str, life: Life) -> bytes:
    return dump({"id": id_, "@removed": {"reason": "changed" if life is Life.DELETED else "deleted"}})
