"""What `$search` may say about users, and for whom it holds.

https://learn.microsoft.com/en-us/graph/search-query-parameter#using-search-on-directory-object-collections
"""

import re
from collections.abc import Callable

from simulator.answers import GraphError, unsupported
from simulator.properties import Record
from simulator.selection import Condition

_TERM = re.compile(r'\s*(?:(?P<joint>AND|OR)\s+)?"(?:(?P<name>\w+):)?(?P<value>[^"]+)"')
_SEARCHABLE = frozenset({"displayName", "givenName", "mail", "mailNickname", "surname", "userPrincipalName"})


def read_search(text: str) -> Condition:
    """The condition of a `$search`: terms in double quotes, joined by AND and OR.

    Raises:
        GraphError: 400: it is no search, or names a property that cannot be searched.
    """
    any_of: list[list[Callable[[Record], bool]]] = []
    end = 0
    while end < len(text):
        term = _TERM.match(text, end)
        if term is None or bool(term["joint"]) != bool(any_of):
            raise _bad(f"Syntax error at position {end} in '{text}'.")
        names = [term["name"]] if term["name"] else sorted(_SEARCHABLE)
        if not _SEARCHABLE.issuperset(names):
            raise unsupported(f"Unsupported search property '{term['name']}'.")
        test = _search_test(names, term["value"].casefold())
        if term["joint"] == "AND":
            any_of[-1].append(test)
        else:
            any_of.append([test])
        end = term.end()
    if not any_of:
        raise _bad("The search is empty.")
    return Condition(
        names=_SEARCHABLE, test=lambda record: any(all(test(record) for test in tests) for tests in any_of)
    )


def _search_test(names: list[str], wanted: str) -> Callable[[Record], bool]:
    def test(record: Record) -> bool:
        values = [(name, str(record.get(name) or "").casefold()) for name in names]
        # displayName is searched word by word, all others from their beginning.
        words = [
            [part for part in re.split(r"[\W_]+", value) if part] for name, value in values if name == "displayName"
        ]
        return any(value.startswith(wanted) for _, value in values) or any(
            all(any(word.startswith(part) for word in each) for part in re.split(r"[\W_]+", wanted)) for each in words
        )

    return test


def _bad(message: str) -> GraphError:
    return GraphError(400, "BadRequest", f"Invalid search: {message}")
