"""One more protected API, so that an app can be shown to call any API and not Graph alone.

https://learn.microsoft.com/en-us/entra/identity-platform/quickstart-v2-daemon-app-python-acquire-token
"""

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulator import tokens
from simulator.clouds import API_RESOURCE

if TYPE_CHECKING:
    from simulator.state import State

ROLE = "Report.Read"
REPORTS = {"reports": [{"id": 1, "name": "Sign-ins"}, {"id": 2, "name": "Licences"}]}


def api_app(state: "State") -> Starlette:
    """`GET /reports`, for callers with the application role Report.Read."""

    async def reports(request: Request) -> Response:
        try:
            claims = tokens.check(state, request.headers.get("authorization"), audiences=[API_RESOURCE])
        except tokens.TokenRefused as refused:
            headers = {"www-authenticate": f'Bearer error="invalid_token", error_description="{refused.reason}"'}
            return JSONResponse(
                {"error": f"The access token is refused: {refused.reason}."}, status_code=401, headers=headers
            )
        if ROLE not in claims.get("roles", ()):
            return JSONResponse({"error": f"The application role {ROLE} is missing."}, status_code=403)
        return JSONResponse(REPORTS)

    return Starlette(routes=[Route("/reports", reports)])
