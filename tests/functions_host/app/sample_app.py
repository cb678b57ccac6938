"""A small app with one of everything the host serves."""

import atexit
import json
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import List  # noqa: UP035

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
both, four = threading.Barrier(2), threading.Barrier(4)


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


@app.route("process")
def process(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(str(os.getpid()))


@app.route("die")
def die(req: func.HttpRequest) -> func.HttpResponse:
    os.kill(os.getpid(), signal.SIGKILL)
    return func.HttpResponse("not reached")


@app.route("together")
def together(req: func.HttpRequest) -> func.HttpResponse:
    both.wait(timeout=30)
    return func.HttpResponse("both")


@app.route("send", methods=["POST"])
# The worker library does not understand `list[str]` in an annotation.
@app.queue_output(arg_name="messages", queue_name="%WORK%", connection="AzureWebJobsStorage")
def send(req: func.HttpRequest, messages: func.Out[List[str]]) -> func.HttpResponse:  # noqa: UP006
    messages.set(req.get_json())
    return func.HttpResponse(status_code=202)


@app.route("send-raw", methods=["POST"])
@app.queue_output(arg_name="message", queue_name="%SEEN%", connection="AzureWebJobsStorage")
def send_raw(req: func.HttpRequest, message: func.Out[bytes]) -> func.HttpResponse:
    message.set(req.get_body())
    if req.params.get("fail"):
        raise RuntimeError("after the output was set")
    return func.HttpResponse(status_code=202)


@app.queue_trigger(arg_name="message", queue_name="%WORK%", connection="AzureWebJobsStorage")
@app.queue_output(arg_name="seen", queue_name="%SEEN%", connection="AzureWebJobsStorage")
def work(message: func.QueueMessage, seen: func.Out[str]) -> None:
    text = message.get_body().decode("utf-8", "replace")
    if text.startswith("fail") and not text.endswith(str(message.dequeue_count)):
        raise RuntimeError(f"attempt {message.dequeue_count}")
    if text.startswith("die") and not text.endswith(str(message.dequeue_count)):
        os.kill(os.getpid(), signal.SIGKILL)
    if text == "four":
        four.wait(timeout=30)
    if text.startswith("/"):
        # Opening a named pipe waits for the other side: whoever reads it knows that this runs.
        Path(text).open("w", encoding="utf-8").close()
        Path(text).open(encoding="utf-8").close()
    facts = {
        "body": message.get_body().hex(),
        "id": message.id,
        "attempt": message.dequeue_count,
        "receipt": bool(message.pop_receipt),
        "inserted": str(message.insertion_time),
        "expires": str(message.expiration_time),
        "process": os.getpid(),
    }
    seen.set(json.dumps(facts))


@atexit.register
def leave_a_trace() -> None:
    if mark := os.environ.get("EXIT_MARK"):
        Path(mark).write_text("ended normally")
