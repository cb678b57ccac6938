"""The query options of a list of users, and the rules they keep.

https://learn.microsoft.com/en-us/graph/api/user-list, https://learn.microsoft.com/en-us/graph/query-parameters and
https://learn.microsoft.com/en-us/graph/aad-advanced-queries
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote_plus

from simulator.answers import GraphError, bad_request, unsupported
from simulator.properties import DEFAULT_SELECT, PROPERTIES, in_order

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

    def get(self, name: str) -> str | None:
        """The value of an option; None if it was not given."""
        return self.values.get(name)


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
    text = options.get("select")
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


def read_top(options: Options, names: Sequence[str]) -> int:
    """The page size: 100 unless asked for, at most 999, or 500 with sign-in activity.

    Raises:
        GraphError: 400: not a number from 1 to 999.
    """
    text = options.get("top")
    if text is None:
        return PAGE
    if not (text.isascii() and text.isdigit()):
        raise bad_request(f"Invalid value '{text}' for $top query option found.")
    if not 1 <= int(text) <= LARGEST_PAGE:
        raise unsupported(
            f"Invalid page size specified: '{int(text)}'. Must be between 1 and {LARGEST_PAGE} inclusive."
        )
    return min(int(text), LARGEST_SIGN_IN_PAGE) if "signInActivity" in names else int(text)
