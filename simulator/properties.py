"""What a user is made of: every property of the v1.0 `user` type, and how it may be selected, filtered and sorted.

The type is https://learn.microsoft.com/en-us/graph/api/resources/user; the operators that work by default and those
that need an advanced query are the tables of https://learn.microsoft.com/en-us/graph/aad-advanced-queries.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

type Record = dict[str, Any]
"""A user: property name to JSON value. A property that was never set is absent; one set to null is None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Property:
    """A property of a user.

    Attributes:
        type: its type without the namespace (`String`, `DateTimeOffset`, `assignedLicense`, ...).
        collection: its value is a list.
        default: it is returned when nothing is selected.
        single: it is returned for a single user only; a list that selects it is not implemented.
        role: the application permission it needs beside the one to read users.
    """

    type: str
    collection: bool = False
    default: bool = False
    single: bool = False
    role: str | None = None


_data = json.loads(Path(__file__).with_name("user_properties.json").read_text())

PROPERTIES: Mapping[str, Property] = {name: Property(**facts) for name, facts in _data["properties"].items()}
"""Every declared property, in the order in which answers carry them."""

FILTERS: Mapping[str, Mapping[str, str]] = _data["filters"]
"""Path of a property -> operator (`eq`, `startswith`, `endswith`, `range`, `null`) -> `default` or `advanced`."""

ORDERBY: Mapping[str, str] = _data["orderby"]
"""Property -> `default` or `advanced`."""

DEFAULT_SELECT = tuple(name for name, facts in PROPERTIES.items() if facts.default)


def unset(name: str) -> Any:
    """What an answer carries for a selected property that has no value: null, or an empty list."""
    facts = PROPERTIES.get(name)
    return [] if facts and facts.collection else None


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """These properties once each, in the order of the type; the server does not keep the order of `$select`."""
    wanted = set(names)
    return tuple(name for name in PROPERTIES if name in wanted)
