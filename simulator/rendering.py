"""Users as JSON text, put together without an object for each."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from simulator.directory import Directory
from simulator.properties import Record, unset


def dump(value: Any) -> bytes:
    """A value as JSON, without blanks; everything but ASCII stays as it is."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def objects(
    directory: Directory, users: Sequence[int | Record], names: tuple[str, ...], *, unset_too: bool = True
) -> list[bytes]:
    """Users, generated ones by number, as JSON objects of these properties.

    Args:
        directory: where they are.
        users: the users.
        names: the properties.
        unset_too: write the properties that a user lacks too, as null or an empty list.
    """
    if not unset_too:
        # The oldest lack their date of creation, which no template leaves out.
        undated = directory.population.undated
        users = [directory.population.record(u) if isinstance(u, int) and u < undated else u for u in users]
    generated = [user for user in users if isinstance(user, int)]
    rows = iter(directory.population.rows(names, unset_too=unset_too)(generated))
    if len(generated) == len(users):
        return list(rows)
    return [next(rows) if isinstance(user, int) else dump(shown(user, names, unset_too=unset_too)) for user in users]


def shown(record: Record, names: Iterable[str], *, unset_too: bool = True) -> Record:
    """These properties of a user."""
    return {name: record.get(name, unset(name)) for name in names if unset_too or name in record}


def envelope(head: Record, rows: Sequence[bytes] | None) -> bytes:
    """A page: the annotations, then the users, if any are given at all."""
    if rows is None:
        return dump(head)
    return b'%b,"value":[%b]}' % (dump(head)[:-1], b",".join(rows))
