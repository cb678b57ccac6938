"""The query options of a list of users, and the rules they keep.

https://learn.microsoft.com/en-us/graph/api/user-list, https://learn.microsoft.com/en-us/graph/query-parameters and
https://learn.microsoft.com/en-us/graph/aad-advanced-queries
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import unquote_plus

from simulator.answers import GraphError, bad_request, unsupported
from simulator.odata import read_filter
from simulator.properties import DEFAULT_SELECT, ORDERBY, PROPERTIES, in_order
from simulator.search import read_search
from simulator.selection import Condition

OPTIONS = frozenset("select filter orderby search count top skip skiptoken deltatoken expand format".split())
PAGE, LARGEST_PAGE, LARGEST_SIGN_IN_PAGE = 100, 999, 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The query options of a request, by lower-case name without `$`, decoded.

    Attributes:
        raw: the query without the page token, as it was sent, for the next link to repeat.
    """

    values: Mapping[str, str]
    raw: str

    @property
    def use(self) -> str:
        """What a page token is good for: these options, however they were encoded."""
        return "&".join(f"{name}={value}" for name, value in sorted(self.values.items()) if name != "skiptoken")


def read_options(query_string: str) -> Options:
    """Read a query string; names are taken in any letter case, and without `$` too.

    Raises:
        GraphError: 400: an option is unknown or given twice.
    """
    values: dict[str, str] = {}
    kept: list[str] = []
    for part in filter(None, query_string.split("&")):
        name, _, value = part.partition("=")
        name = unquote_plus(name)
        option = name.removeprefix("$").lower()
        if option not in OPTIONS:
            if name.startswith("$"):
                raise bad_request(f"The query parameter '{name}' is not supported.")
            continue  # not an option of OData: ignored
        if option in values:
            raise bad_request(f"Query parameter '{name}' is specified, but it should be specified only once.")
        values[option] = unquote_plus(value)
        if option != "skiptoken":
            kept.append(part)
    return Options(values=values, raw="&".join(kept))


def read_select(options: Options, roles: Collection[str], *, listing: bool) -> tuple[str, ...]:
    """The properties to return, in the order of the type.

    Raises:
        GraphError: 400 for an unknown property; 501 for one that a list cannot return; 403 where a role is missing.
    """
    text = options.values.get("select")
    if text is None:
        return DEFAULT_SELECT
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in PROPERTIES:
            raise GraphError(
                400,
                "BadRequest",
                "Parsing OData Select and Expand failed: "
                f"Could not find a property named '{name}' on type 'microsoft.graph.user'.",
            )
        if listing and PROPERTIES[name].single:
            raise GraphError(501, "NotImplemented", f"Property '{name}' cannot be selected in a list of users.")
        need_role(name, roles)
    return in_order({*names, "id"})


def need_role(name: str, roles: Collection[str]) -> None:
    """Refuse a property that needs a role of its own.

    Raises:
        GraphError: 403.
    """
    role = PROPERTIES[name].role
    if role is not None and role not in roles:
        code = "Authentication_MSGraphPermissionMissing"
        message = f"Calling principal does not have required MSGraph permissions {role}"
        raise GraphError(403, code, message)


def _read_top(options: Options, *, sign_in: bool) -> int:
    text = options.values.get("top")
    if text is None:
        return PAGE
    if not (text.isascii() and text.isdigit()):
        raise bad_request(f"Invalid value '{text}' for $top query option found.")
    if not 1 <= int(text) <= LARGEST_PAGE:
        raise unsupported(
            f"Invalid page size specified: '{int(text)}'. Must be between 1 and {LARGEST_PAGE} inclusive."
        )
    return min(int(text), LARGEST_SIGN_IN_PAGE) if sign_in else int(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A checked request for users.

    Attributes:
        names: the properties to return, in the order of the type.
        selected: whether they were asked for.
        top: the page size: 100 unless asked for, at most 999, or 500 with sign-in activity.
        conditions: those of `$filter` and `$search`.
        orderby: properties to sort by, each with whether downwards.
        advanced: whether this is an advanced query.
    """

    names: tuple[str, ...]
    selected: bool
    top: int
    conditions: tuple[Condition, ...]
    orderby: tuple[tuple[str, bool], ...]
    advanced: bool


def read_query(options: Options, roles: Collection[str], *, eventual: bool, b2c: bool) -> Query:
    """Check the options of a list of users.

    Args:
        options: the query options.
        roles: the application permissions of the caller.
        eventual: the request has the header `ConsistencyLevel: eventual`.
        b2c: the tenant offers no advanced queries.

    Raises:
        GraphError: 400, 403 or 501.
    """
    given = options.values
    for name in ("skip", "deltatoken"):
        if name in given:
            raise bad_request(f"'${name}' is not supported by the service.")
    if "expand" in given:
        raise GraphError(501, "NotImplemented", "This simulator expands no relationships.")
    count = given.get("count", "false")
    if count not in {"true", "false"}:
        raise bad_request(f"Invalid value '{count}' for $count query option found.")
    advanced = eventual and count == "true"
    if b2c and eventual and ("count" in given or "search" in given):
        raise unsupported("Advanced queries are not supported in this tenant.")
    names = read_select(options, roles, listing=True)
    conditions = read_conditions(options, roles, advanced=advanced, eventual=eventual)
    orderby = tuple(_read_order(part) for part in given["orderby"].split(",")) if "orderby" in given else ()
    if orderby and not advanced and (conditions or any(ORDERBY[name] == "advanced" for name, _ in orderby)):
        raise unsupported("Sorting not supported for current query.")
    sign_in = "signInActivity" in names or any("signInActivity" in condition.names for condition in conditions)
    return Query(
        names=names,
        selected="select" in given,
        top=_read_top(options, sign_in=sign_in),
        conditions=conditions,
        orderby=orderby,
        advanced=advanced,
    )


def read_conditions(
    options: Options, roles: Collection[str], *, advanced: bool, eventual: bool
) -> tuple[Condition, ...]:
    """The conditions of `$filter` and `$search`.

    Raises:
        GraphError: 400 or 403.
    """
    conditions: list[Condition] = []
    if "filter" in options.values:
        conditions += read_filter(options.values["filter"], advanced=advanced)
        for condition in conditions:
            for name in condition.names:
                need_role(name, roles)
    if "search" in options.values:
        if not eventual:
            raise unsupported(
                "Request with $search query parameter only works through MSGraph with a special request header: "
                "'ConsistencyLevel: eventual'"
            )
        conditions.append(read_search(options.values["search"]))
    return tuple(conditions)


def _read_order(part: str) -> tuple[str, bool]:
    name, _, direction = part.strip().partition(" ")
    if direction.strip() not in {"", "asc", "desc"} or name not in PROPERTIES:
        raise GraphError(400, "BadRequest", f"Invalid orderby clause: '{part}'.")
    if name not in ORDERBY:
        raise unsupported(f"Unsupported sort property '{name}' for User.")
    return name, direction.strip() == "desc"
