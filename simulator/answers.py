"""What every answer of Graph has: error objects, diagnostic headers, compression.

https://learn.microsoft.com/en-us/graph/errors
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime

from isal import igzip
from starlette.responses import Response

JSON = "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8"
DIAGNOSTIC = json.dumps(
    {"ServerInfo": {"DataCenter": "Simulator", "Slice": "E", "Ring": "1", "ScaleUnit": "000", "RoleInstance": "SIM1"}}
)


class GraphError(Exception):
    """Graph refuses a request with this status, error code and message."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})


def bad_request(message: str) -> GraphError:
    """A malformed query option."""
    return GraphError(400, "Request_BadRequest", message)


def unsupported(message: str) -> GraphError:
    """A query that the directory does not support, or only as an advanced query."""
    return GraphError(400, "Request_UnsupportedQuery", message)


def error_body(code: str, message: str, *, now: float, request_id: str, client_request_id: str) -> bytes:
    """The error object."""
    inner = {
        "date": datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S"),
        "request-id": request_id,
        "client-request-id": client_request_id,
    }
    return json.dumps({"error": {"code": code, "message": message, "innerError": inner}}).encode()


def json_answer(body: bytes, *, compressed: bool) -> Response:
    """A JSON answer; `compressed` says that the body is so already."""
    headers = {"vary": "Accept-Encoding", "odata-version": "4.0"}
    if compressed:
        headers["content-encoding"] = "gzip"
    return Response(body, media_type=JSON, headers=headers)


def compress(body: bytes) -> bytes:
    """The body as a gzip member, at the level that costs least."""
    return igzip.compress(body, compresslevel=1)
