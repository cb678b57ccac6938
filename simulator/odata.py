"""What `$filter` may say about users, and for whom it holds.

The operators of each property are the tables of https://learn.microsoft.com/en-us/graph/aad-advanced-queries, the
grammar is that of https://learn.microsoft.com/en-us/graph/filter-query-parameter.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, cast

from odata_query import ast
from odata_query.exceptions import ODataException
from odata_query.grammar import ODataLexer, ODataParser

from simulator.answers import GraphError, unsupported
from simulator.properties import FILTERS, PROPERTIES, Record
from simulator.selection import Condition

type Test = Callable[[Record, Any], bool]
"""Whether something holds for a user and, within `any`, for the item at hand."""

# The parser wants a blank after `not`, lower-case functions, a comma in a list of one, and knows no `$count`.
_STRING = r"'(?:[^']|'')*'"
_REWRITES = re.compile(
    rf"(?P<one>\bin\s*\(\s*(?:{_STRING}|[^\s',()]+))\s*\)|{_STRING}"
    r"|(?P<not>\bnot)\s*\(|(?P<call>\b(?:startswith|endswith))\s*\(|(?P<any>/any)\s*\(|(?P<count>/\$count\b)",
    re.IGNORECASE,
)


@lru_cache(maxsize=1024)
def read_filter(text: str, *, advanced: bool) -> tuple[Condition, ...]:
    """The conditions of a `$filter`, which must all hold.

    Raises:
        GraphError: 400: it is no filter, or one that is not supported, or only as an advanced query.
    """
    try:
        tree = _parse(_REWRITES.sub(_rewritten, text.strip()))
    except ODataException as error:
        raise _invalid(f"Syntax error in '{text}'.") from error
    conditions = [_condition(part, advanced=advanced) for part in _conjuncts(tree)]
    names = {name for condition in conditions for name in condition.names}
    if "signInActivity" in names and len(names) > 1:
        raise unsupported("Filter on signInActivity cannot be combined with other filterable properties.")
    return tuple(conditions)


def _parse(text: str) -> Any:
    # The parser has no types.
    return ODataParser().parse(ODataLexer().tokenize(text))  # pyright: ignore[reportUnknownMemberType]


def _rewritten(match: re.Match[str]) -> str:
    if match["one"]:
        return f"{match['one']},)"
    if match["not"]:
        return "not ("
    if match["call"] or match["any"]:
        return f"{(match['call'] or match['any']).lower()}("
    return "/_count" if match["count"] else match[0]


def _conjuncts(tree: Any) -> list[Any]:
    match tree:
        case ast.BoolOp(ast.And(), left, right):
            return [*_conjuncts(left), *_conjuncts(right)]
        case _:
            return [tree]


def _condition(tree: Any, *, advanced: bool) -> Condition:
    reader = _Reader(advanced=advanced, names=set())
    test = reader.test(tree)
    names = frozenset(reader.names)
    operator: str | None = None
    value: float | str | None = None
    match tree:
        case ast.Compare(ast.Eq(), ast.Identifier(), ast.Null()):
            operator = "null"
        case ast.Compare(ast.Eq(), ast.Identifier(), ast.String(value)):
            operator = "eq"
        case ast.Compare(ast.GtE() | ast.LtE() as comparator, ast.Identifier(), ast.DateTime() as date):
            operator, value = "ge" if isinstance(comparator, ast.GtE) else "le", _instant(date)
        case _:
            pass
    return Condition(names=names, test=lambda record: test(record, None), operator=operator, value=value)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reader:
    """Turns a syntax tree into a test.

    Attributes:
        names: collects the properties that are looked at.
        within: inside `any`: the name that stands for the item, and the path of the collection.
    """

    advanced: bool
    names: set[str]
    within: tuple[str, str] | None = None

    def test(self, tree: Any) -> Test:
        match tree:
            case ast.BoolOp(operator, left, right):
                first, second = self.test(left), self.test(right)
                if isinstance(operator, ast.And):
                    return lambda record, item: first(record, item) and second(record, item)
                return lambda record, item: first(record, item) or second(record, item)
            case ast.UnaryOp(ast.Not(), operand):
                self._need_advanced("not")
                inner = self.test(operand)
                return lambda record, item: not inner(record, item)
            case ast.Compare(comparator, left, right):
                return self._comparison(comparator, left, right)
            case ast.Call(ast.Identifier(name), [left, ast.String(text)]) if name.lower() in {"startswith", "endswith"}:
                path, get = self._path(left)
                self._need(path, name.lower())
                method, text = name.lower(), text.casefold()
                return lambda record, item: getattr(str(get(record, item) or "").casefold(), method)(text)
            case ast.CollectionLambda(owner, ast.Any(), ast.Lambda(ast.Identifier(variable), expression)):
                return self._any(owner, variable, expression)
            case _:
                raise unsupported("Unsupported Query.")

    def _any(self, owner: Any, variable: str, expression: Any) -> Test:
        path, get = self._path(owner)
        inner = _Reader(advanced=self.advanced, names=self.names, within=(variable, f"{path}/any")).test(expression)

        def holds(record: Record, item: object) -> bool:
            items: list[Any] = get(record, item) or []
            return any(inner(record, each) for each in items)

        return holds

    def _comparison(self, comparator: Any, left: Any, right: Any) -> Test:
        path, get = self._path(left)
        null = isinstance(right, ast.Null)
        match comparator:
            case ast.Eq() | ast.In():
                self._need(path, "null" if null else "eq")
            case ast.NotEq():
                self._need_advanced("ne")
                self._need(path, "null" if null else "eq")
            case ast.GtE() | ast.LtE() if not null:
                self._need(path, "range", told="ge" if isinstance(comparator, ast.GtE) else "le")
            case _:
                raise _unsupported_clause(path)
        if isinstance(comparator, ast.In):
            literals = cast("list[Any]", right.val)
            values = [_literal(path, each) for each in literals]
            return lambda record, item: _comparable(get(record, item), values[0]) in values
        value = _literal(path, right)
        match comparator:
            case ast.Eq():
                return lambda record, item: _comparable(get(record, item), value) == value
            case ast.NotEq():
                return lambda record, item: _comparable(get(record, item), value) != value
            case ast.GtE():
                return lambda record, item: (
                    (mine := _comparable(get(record, item), value)) is not None and mine >= value
                )
            case _:
                return lambda record, item: (
                    (mine := _comparable(get(record, item), value)) is not None and mine <= value
                )

    def _path(self, tree: Any) -> tuple[str, Callable[[Record, Any], Any]]:
        """The path of a property as the tables name it, and how to get its value."""
        match tree:
            case ast.Identifier(name) if self.within and name == self.within[0]:
                return self.within[1], lambda _, item: item
            case ast.Identifier(name):
                if name not in PROPERTIES:
                    raise _invalid(f"Could not find a property named '{name}' on type 'microsoft.graph.user'.")
                self.names.add(name)
                return name, lambda record, _: record.get(name)
            case ast.Attribute(owner, "_count"):
                path, get = self._path(owner)
                return f"{path}/$count", lambda record, item: len(get(record, item) or [])
            case ast.Attribute(owner, str(member)):
                path, get = self._path(owner)
                return f"{path}/{member}", lambda record, item: _member(get(record, item), member)
            case _:
                raise unsupported("Unsupported Query.")

    def _need(self, path: str, operator: str, *, told: str | None = None) -> None:
        support = FILTERS.get(path, {}).get(operator)
        if support is None:
            raise _unsupported_clause(path)
        if support == "advanced":
            self._need_advanced(told or ("eq" if operator == "null" else operator))

    def _need_advanced(self, operator: str) -> None:
        if not self.advanced:
            raise unsupported(
                f"Operator '{operator}' is not supported because the required parameters might be missing. Try adding "
                "$count=true query parameter and ConsistencyLevel:eventual header. Refer to "
                "https://aka.ms/graph-docs/advanced-queries for more information"
            )


def _literal(path: str, tree: Any) -> Any:
    """The value of a literal, made comparable: dates in seconds since 1970, texts without letter case."""
    types = {"DateTimeOffset": ast.DateTime, "Boolean": ast.Boolean, "String": ast.String}
    declared = PROPERTIES[path].type if path in PROPERTIES else ""
    if path.endswith("DateTime"):
        declared = "DateTimeOffset"
    if not isinstance(tree, (types.get(declared, object), ast.Null)):
        raise _unsupported_clause(path)
    match tree:
        case ast.Null():
            return None
        case ast.DateTime():
            return _instant(tree)
        case ast.GUID() | ast.String():
            return str(tree.val).casefold()
        case ast.Boolean() | ast.Integer():
            return tree.py_val
        case _:
            raise _unsupported_clause(path)


def _member(value: dict[str, Any] | None, name: str) -> Any:
    return value.get(name) if value else None


def _comparable(value: Any, like: Any) -> Any:
    if isinstance(value, str):
        return datetime.fromisoformat(value).timestamp() if isinstance(like, float) else value.casefold()
    return value


def _instant(date: ast.DateTime) -> float:
    instant = date.py_val
    if instant.tzinfo is None:
        raise _invalid(f"'{date.val}' is no date with a time and an offset.")
    return instant.timestamp()


def _invalid(message: str) -> GraphError:
    return GraphError(400, "BadRequest", f"Invalid filter clause: {message}")


def _unsupported_clause(path: str) -> GraphError:
    return unsupported(
        f"Unsupported or invalid query filter clause specified for property '{path}' of resource 'User'."
    )
