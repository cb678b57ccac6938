"""The HTTP front: routes, keys, the admin endpoint, and HTTP requests and responses as the worker knows them.

What it answers follows the host's source, https://github.com/Azure/azure-functions-host: a request that no route takes,
its method included, is a 404; a missing or wrong key is a 401; a function that raises is a 500; none has a body.
"""

import json
from collections.abc import Awaitable, Callable, MutableMapping
from email.utils import formatdate
from typing import Any, cast
from urllib.parse import parse_qsl, quote

import msgspec

from simulator.functions.errors import NoWorker, WorkerExited
from simulator.functions.function_rpc import InvocationResponse, RpcHttp, RpcHttpCookie, TypedData
from simulator.functions.functions import Function
from simulator.functions.keys import SUFFICIENT, Keys
from simulator.functions.routes import decode_path

type Scope = MutableMapping[str, Any]
type Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
type Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
type Invoke = Callable[[Function, TypedData], Awaitable[InvocationResponse]]
type Trigger = Callable[[Function, str | None], None]
type Answer = tuple[int, list[tuple[bytes, bytes]], bytes]

# What ASP.NET's PathString leaves as it is; percent signs too, since what is encoded still at this point stays so.
UNESCAPED = "/-._~!$&'()*+,;=:@%"


ADMIN = "/admin/functions/"


class Refused(Exception):
    """The request is answered with a status alone."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Invocation(msgspec.Struct):
    """The body of a request to the admin endpoint."""

    input: object = None


class Front:
    """An ASGI application that answers for the functions.

    `invoke` runs an HTTP function and returns its response, `trigger` starts any other one and does not wait for it.
    """

    def __init__(self, functions: tuple[Function, ...], keys: Keys, *, invoke: Invoke, trigger: Trigger) -> None:
        self._functions = functions
        self._keys = keys
        self._invoke = invoke
        self._trigger = trigger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        body = bytearray()
        while (part := await receive())["type"] == "http.request":
            body += part.get("body", b"")
            if not part.get("more_body"):
                break
        try:
            status, headers, content = await self._answer(scope, bytes(body))
        except Refused as refused:
            status, headers, content = refused.status, [], b""
        if status >= 200 and status not in {204, 304}:
            headers.append((b"content-length", str(len(content)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    async def _answer(self, scope: Scope, body: bytes) -> Answer:
        path, headers, query = decode_path(scope["raw_path"]), _headers(scope), _query(scope)
        level = self._keys.level(headers, query)
        if path.lower().startswith(ADMIN):
            self._start(scope["method"], path[len(ADMIN) :], level, headers, body)
            return 202, [], b""
        function, params = self._match(scope["method"], path)
        if level not in SUFFICIENT[function.auth_level]:
            raise Refused(401)
        request = RpcHttp(
            method=scope["method"],
            url=_url(scope, path, headers),
            headers=headers,
            params=params,
            # The host gives the worker no parameter without a value.
            query={name: ",".join(values) for name, values in query.items() if ",".join(values)},
            # As in the host, only a body whose length is stated is passed on.
            body=TypedData(bytes=body) if body and "content-length" in headers else TypedData(),
        )
        try:
            response = await self._invoke(function, TypedData(http=request))
        except NoWorker:
            raise Refused(503) from None
        except WorkerExited:
            # What the platform's front end answers when an instance goes away.
            raise Refused(502) from None
        if response.result.exception:
            raise Refused(500)
        return _response(response.return_value)

    def _match(self, method: str, path: str) -> tuple[Function, dict[str, str]]:
        for function in self._functions:
            if not function.route or (function.methods and method not in function.methods):
                continue
            if (params := function.route.match(path)) is not None:
                return function, params
        raise Refused(404)

    def _start(self, method: str, name: str, level: str, headers: dict[str, str], body: bytes) -> None:
        """Start a function that HTTP does not trigger.

        https://learn.microsoft.com/en-us/azure/azure-functions/functions-manually-run-non-http
        """
        if method != "POST":
            raise Refused(404)
        if level != "admin":
            raise Refused(401)
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise Refused(415)
        try:
            given = msgspec.json.decode(body, type=Invocation).input
        except msgspec.DecodeError:
            raise Refused(400) from None
        function = next((each for each in self._functions if each.name.lower() == name.lower()), None)
        if not function:
            raise Refused(404)
        if function.route:
            # The real host makes an HTTP request of the input; whoever has HTTP at hand can do so too.
            raise Refused(501)
        self._trigger(function, given if given is None or isinstance(given, str) else json.dumps(given))


def _headers(scope: Scope) -> dict[str, str]:
    headers = dict[str, str]()
    for raw_name, raw_value in cast("list[tuple[bytes, bytes]]", scope["headers"]):
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return headers


def _query(scope: Scope) -> dict[str, list[str]]:
    """Collect the query's values by name; names that differ in case only are one, spelt as the first of them."""
    query, spelling = dict[str, list[str]](), dict[str, str]()
    for name, value in parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True):
        query.setdefault(spelling.setdefault(name.lower(), name), []).append(value)
    return query


def _url(scope: Scope, path: str, headers: dict[str, str]) -> str:
    """Return the URL the caller used: its host and port, the path encoded anew, the query as it came."""
    query = scope["query_string"].decode("latin-1")
    return f"{scope['scheme']}://{headers.get('host', '')}{quote(path, safe=UNESCAPED)}{'?' if query else ''}{query}"


def _response(value: TypedData | None) -> Answer:
    if not value or not value.http:
        text = (value and value.string) or ""
        return 200, [(b"content-type", b"text/plain; charset=utf-8")], text.encode()
    headers = [
        (name.encode("latin-1"), text.encode("latin-1"))
        for name, text in value.http.headers.items()
        if name.lower() != "content-length"
    ]
    headers += [(b"set-cookie", _cookie(each).encode("latin-1")) for each in value.http.cookies or ()]
    return int(value.http.status_code), headers, (value.http.body and value.http.body.bytes) or b""


def _cookie(cookie: RpcHttpCookie) -> str:
    attributes = {
        "expires": cookie.expires and formatdate(cookie.expires.value.seconds, usegmt=True),
        "max-age": cookie.max_age and int(cookie.max_age.value),
        "domain": cookie.domain and cookie.domain.value,
        "path": cookie.path and cookie.path.value,
        "samesite": [None, "lax", "strict", "none"][cookie.same_site],
    }
    text = [f"{cookie.name}={cookie.value}"]
    text += [f"{name}={value}" for name, value in attributes.items() if value not in {None, ""}]
    text += ["secure"] if cookie.secure and cookie.secure.value else []
    text += ["httponly"] if cookie.http_only and cookie.http_only.value else []
    return "; ".join(text)
