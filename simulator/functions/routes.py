"""Route templates, matched as the host's router matches them.

https://learn.microsoft.com/en-us/azure/azure-functions/functions-bindings-http-webhook-trigger#customize-the-http-endpoint
https://learn.microsoft.com/en-us/aspnet/core/fundamentals/routing#route-constraints
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from simulator.functions.errors import StartError

_CONSTRAINT = re.compile(r":(\w+)(?:\((.*?)\)(?=:|$))?")
_PARAMETER = re.compile(r"(\*{0,2})(\w+)((?::\w+(?:\(.*?\)(?=[:?=]|$))?)*)(\?|=.*)?")

type Check = Callable[[str], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A compiled route template."""

    text: str
    pattern: re.Pattern[str]
    checks: tuple[tuple[str, Check], ...]
    defaults: dict[str, str]

    def match(self, path: str) -> dict[str, str] | None:
        """Return the route values of a decoded path, or None where it is another route's.

        Literals match in any case, a slash at the end is ignored, and a parameter without a value is left out.
        """
        found = self.pattern.fullmatch(path.removesuffix("/"))
        if not found:
            return None
        values = {name: value for name, value in found.groupdict().items() if value}
        if not all(check(values[name]) for name, check in self.checks if name in values):
            return None
        return self.defaults | values


def compile_template(text: str) -> Template:
    """Compile a template such as `users/{id}`, `{file?}`, `{id:int:min(1)}` or `{*rest}`.

    Raises:
        StartError: it is not a template, or names a constraint that there is not.
    """
    pattern, checks, defaults = "", list[tuple[str, Check]](), dict[str, str]()
    for segment in text.strip("/").split("/"):
        literals, parameters = _parts(segment, text)
        if len(parameters) == 1 and literals == ["", ""]:
            parameter = _PARAMETER.fullmatch(parameters[0])
            if not parameter:
                raise StartError(
                    f"The route '{text}' has the parameter '{{{parameters[0]}}}', which is not understood."
                )
            star, name, constraints, end = parameter.groups()
            checks += [(name, _check(kind, argument, text)) for kind, argument in _CONSTRAINT.findall(constraints)]
            if end and end.startswith("="):
                defaults[name] = end[1:]
            value = f"(?:/(?P<{name}>{'.*' if star else '[^/]+'}))"
            pattern += f"{value}?" if star or end else value
        elif parameters:
            raise StartError(f"The route '{text}' mixes text and parameters in one segment, which is not simulated.")
        else:
            pattern += "/" + re.escape(literals[0])
    return Template(text=text, pattern=re.compile(pattern, re.IGNORECASE), checks=tuple(checks), defaults=defaults)


def _parts(segment: str, text: str) -> tuple[list[str], list[str]]:
    """Split a segment into its literals and its parameters; `{{` and `}}` are braces of their own."""
    literals, parameters, inside = [""], list[str](), False
    for token in re.findall(r"\{\{|\}\}|.", segment):
        if len(token) == 2:
            (parameters if inside else literals)[-1] += token[0]
        elif token == "{" and not inside:
            parameters.append("")
            inside = True
        elif token == "}" and inside:
            literals.append("")
            inside = False
        else:
            (parameters if inside else literals)[-1] += token
    if inside:
        raise StartError(f"The route '{text}' has a brace that is not closed.")
    return literals, parameters


def _check(name: str, argument: str, text: str) -> Check:
    try:
        return _CONSTRAINTS[name.lower()](argument)
    except KeyError:
        raise StartError(f"The route '{text}' has the constraint '{name}', which there is not.") from None


def _number(least: int, most: int) -> Check:
    return lambda value: re.fullmatch(r"\s*[+-]?\d+\s*", value) is not None and least <= int(value) <= most


def _text(pattern: str) -> Check:
    return lambda value: re.search(pattern, value, re.IGNORECASE) is not None


def _length(least: int, most: float) -> Check:
    return lambda value: least <= len(value) <= most


_INT, _LONG = 2**31, 2**63

# What makes a check from the argument of each constraint.
_CONSTRAINTS: dict[str, Callable[[str], Check]] = {
    "alpha": lambda _: _text("^[a-z]*$"),
    "bool": lambda _: _text("^(true|false)$"),
    "guid": lambda _: _text("^[({]?[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}[)}]?$"),
    "int": lambda _: _number(-_INT, _INT - 1),
    "length": lambda argument: _length(int(argument.split(",")[0]), int(argument.split(",")[-1])),
    "long": lambda _: _number(-_LONG, _LONG - 1),
    "max": lambda argument: _number(-_LONG, int(argument)),
    "maxlength": lambda argument: _length(0, int(argument)),
    "min": lambda argument: _number(int(argument), _LONG - 1),
    "minlength": lambda argument: _length(int(argument), float("inf")),
    "range": lambda argument: _number(*(int(each) for each in argument.split(","))),
    "regex": _text,
    "required": lambda _: bool,
}


def decode_path(raw: bytes) -> str:
    """Decode a request's path as the host's web server does: once, slashes excepted, then without dot segments.

    An encoded slash (`%2F`) stays encoded, so that a value cannot add segments, and bytes that are not UTF-8 stay as
    they came. https://learn.microsoft.com/en-us/dotnet/api/microsoft.aspnetcore.http.httprequest.path
    """
    pieces = re.split(rb"(%2[fF])", raw)
    decoded = b"".join(piece if index % 2 else unquote_to_bytes(piece) for index, piece in enumerate(pieces))
    try:
        path = decoded.decode()
    except UnicodeDecodeError:
        path = raw.decode("latin-1")
    segments = list[str]()
    for segment in path.split("/"):
        if segment == "..":
            segments = segments[:-1] if len(segments) > 1 else segments
        elif segment != ".":
            segments.append(segment)
    if path.endswith(("/.", "/..")):
        segments.append("")
    return "/".join(segments)
