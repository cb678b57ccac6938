"""A small app with one of everything the host serves."""

import json
import logging
import os
import sys
from pathlib import Path

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)


def report(req: func.HttpRequest) -> func.HttpResponse:
    seen = {
        "method": req.method,
        "url": req.url,
        "route": dict(req.route_params),
        "query": dict(req.params),
        "headers": {name: value for name, value in req.headers.items() if name.startswith("x-")},
        "body": req.get_body().hex(),
    }
    return func.HttpResponse(json.dumps(seen), mimetype="application/json")


@app.route("echo/{name}", methods=["GET", "POST", "HEAD"])
def echo(req: func.HttpRequest) -> func.HttpResponse:
    return report(req)


@app.route("open", auth_level=func.AuthLevel.ANONYMOUS)
def open_to_all(req: func.HttpRequest) -> func.HttpResponse:
    return report(req)


@app.route("admins", auth_level=func.AuthLevel.ADMIN)
def admins(req: func.HttpRequest) -> func.HttpResponse:
    return report(req)


@app.route("fail")
def fail(req: func.HttpRequest) -> func.HttpResponse:
    raise ValueError("something of the inside")


@app.route("parts/{number:int:min(1)}/{*rest}")
def parts(req: func.HttpRequest) -> func.HttpResponse:
    return report(req)


@app.route("optional/{name?}")
def optional(req: func.HttpRequest) -> func.HttpResponse:
    return report(req)


@app.route("responses/{status:int}")
async def responses(req: func.HttpRequest) -> func.HttpResponse:
    headers = {"x-answer": "yes", "content-type": "application/octet-stream", "Set-Cookie": "a=b; Path=/; HttpOnly"}
    return func.HttpResponse(bytes(range(256)), status_code=int(req.route_params["status"]), headers=headers)


@app.route("setting/{name}")
def setting(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(os.environ.get(req.route_params["name"], "(not set)"))


@app.route("imports")
def imports(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(
        json.dumps({"path": sys.path, "cwd": str(Path.cwd()), "simulator": "simulator" in sys.modules})
    )


@app.route("log")
def log(req: func.HttpRequest) -> func.HttpResponse:
    logging.getLogger("app.part").warning("one %s", "warning")
    logging.info("and one information")
    return func.HttpResponse("logged")


@app.timer_trigger(arg_name="timer", schedule="%NIGHTLY%")
def nightly(timer: func.TimerRequest) -> None:
    if os.environ.get("NIGHTLY_FAILS"):
        raise RuntimeError("no night")
    logging.info("past due: %s", timer.past_due)
