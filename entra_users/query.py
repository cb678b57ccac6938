"""What callers may ask Graph for: the OData options, held against what the app's owner chose to disclose.

A filter on a property tells its value by what it finds, so no option may name a property that could not be read.
https://learn.microsoft.com/en-us/graph/query-parameters
https://learn.microsoft.com/en-us/graph/filter-query-parameter
https://learn.microsoft.com/en-us/graph/search-query-parameter
"""

import base64
import binascii
import re
from collections.abc import Collection, Iterator, Mapping
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from entra_users.errors import BadQuery

OPTIONS = ("$select", "$filter", "$search", "$orderby", "$top", "$count")
"""The options that a caller may give, also without their dollar sign."""

MAX_TOP = 999
DEFAULT_TOP = 100

_USERS = "/v1.0/users"
_TOKENS = re.compile(
    r"""\s*(?:
      (?P<literal> '(?:[^']|'')*'
        | (?:[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}
          | \d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d))?
          | -?\d+(?:\.\d+)?) (?!\w))
      | (?P<variable> [a-z])\s*:
      | (?P<path> [A-Za-z_]\w*(?:/\$?\w+)*)
      | (?P<mark> [(),])
    )\s*""",
    re.VERBOSE,
)
_WORDS = frozenset("eq ne gt ge lt le and or not in true false null startswith endswith".split())
# Without backslashes, which make a quote part of the value: it must end where Graph sees it end.
_CLAUSE = re.compile(r'"(\w+):[^"\\]*"')


def read_options(parameters: Mapping[str, str], disclosed: Collection[str]) -> dict[str, str]:
    """A caller's options for a list of users as Graph takes them, with `$select` and `$top` filled in.

    Args:
        parameters: of the request, `$select` or `select` and so on; no others.
        disclosed: the properties that callers may read, and therefore name.

    Raises:
        BadQuery: an option is unknown, given twice, malformed, or names a property that is not disclosed.
    """
    options: dict[str, str] = {}
    for name, value in parameters.items():
        option = name if name.startswith("$") else f"${name}"
        if option not in OPTIONS:
            raise BadQuery(f"{name} is not an option here; there are {', '.join(OPTIONS)} and format.", status=400)
        if option in options:
            raise BadQuery(f"{option} is given twice.", status=400)
        options[option] = value.strip()
    options.setdefault("$select", ",".join(disclosed))
    options.setdefault("$top", str(DEFAULT_TOP))
    check_options(options, disclosed)
    return options


def check_options(options: Mapping[str, str], disclosed: Collection[str]) -> None:
    """Refuse options that are malformed or name what is not disclosed.

    Raises:
        BadQuery: naming the option.
    """
    top, count = options.get("$top", "1"), options.get("$count", "true")
    if not re.fullmatch(r"[0-9]{1,3}", top) or not 1 <= int(top) <= MAX_TOP:
        raise BadQuery(f"$top must be a whole number from 1 to {MAX_TOP}.", status=400)
    if count not in ("true", "false"):
        raise BadQuery("$count must be true or false.", status=400)
    for option, named in _NAMES.items():
        if option not in options:
            continue
        if hidden := [name for name in named(options[option]) if name not in disclosed]:
            raise BadQuery(
                f"{option} names {hidden[0]!r}, which this app does not disclose. It discloses {', '.join(disclosed)};"
                " its owner sets them in USERS_SELECT.",
                status=400,
            )


def is_advanced(options: Mapping[str, str]) -> bool:
    """Whether a query needs the header `ConsistencyLevel: eventual`.

    https://learn.microsoft.com/en-us/graph/aad-advanced-queries
    """
    return "$search" in options or options.get("$count") == "true"


def selected(options: Mapping[str, str]) -> list[str]:
    """The properties that `$select` names, in its order."""
    return list(_select_names(options["$select"]))


def list_url(root: str, options: Mapping[str, str]) -> str:
    """The address of a list of users with these options."""
    return f"{root}{_USERS}?{urlencode(options, safe='$,:', quote_via=quote)}"


def to_continuation(next_link: str) -> str:
    """Graph's next link in the form that callers hold: opaque to them, and without Graph's host."""
    link = urlsplit(next_link)
    return base64.urlsafe_b64encode(f"{link.path}?{link.query}".encode()).decode().rstrip("=")


def from_continuation(text: str, root: str, disclosed: Collection[str]) -> tuple[str, dict[str, str]]:
    """The next link that a continuation stands for, and its options, checked before any token is sent to it.

    Callers can make continuations up, so each is held against the same rules as a first request, and the link is put
    together from what was checked.

    Raises:
        BadQuery: it is not one that this app gave, or asks for what the app does not disclose.
    """
    refusal = BadQuery("$skiptoken is not one that this app gave; begin again from the first page.", status=400)
    try:
        link = urlsplit(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode())
        pairs = parse_qsl(link.query, keep_blank_values=True, strict_parsing=True)
    except (binascii.Error, ValueError) as error:
        raise refusal from error
    options = dict(pairs)
    tokens = [name for name in options if name.lower() == "$skiptoken"]
    given = {name: value for name, value in options.items() if name not in tokens}
    whole = len(options) == len(pairs) and len(tokens) == 1 and "$select" in given and given.keys() <= set(OPTIONS)
    if link.scheme or link.netloc or link.fragment or link.path != _USERS or not whole:
        raise refusal
    check_options(given, disclosed)
    return list_url(root, options), given


def _filter_names(text: str) -> Iterator[str]:
    variables: set[str] = set()
    position = 0
    while position < len(text):
        token = _TOKENS.match(text, position)
        if token is None:
            raise BadQuery(f"$filter cannot be understood from character {position + 1} on.", status=400)
        position = token.end()
        if token["variable"]:
            # One letter: a variable must not be mistaken for a property elsewhere in the filter.
            variables.add(token["variable"])
        elif path := token["path"]:
            first, _, rest = path.partition("/")
            if first not in variables and (rest or first.lower() not in _WORDS):
                yield first


def _search_names(text: str) -> Iterator[str]:
    rest = _CLAUSE.sub(" ", text)
    if re.sub(r"\b(?:AND|OR|NOT)\b|[()\s]", "", rest):
        raise BadQuery('$search must be made of clauses such as "displayName:jo", with AND, OR and NOT.', status=400)
    yield from (clause[1] for clause in _CLAUSE.finditer(text))


def _order_names(text: str) -> Iterator[str]:
    for part in text.split(","):
        name, _, direction = part.strip().partition(" ")
        if direction.strip() not in ("", "asc", "desc"):
            raise BadQuery("$orderby must be properties, each with asc or desc behind it, or nothing.", status=400)
        yield name.partition("/")[0]


def _select_names(text: str) -> Iterator[str]:
    yield from (name.strip() for name in text.split(","))


_NAMES = {"$select": _select_names, "$filter": _filter_names, "$search": _search_names, "$orderby": _order_names}
