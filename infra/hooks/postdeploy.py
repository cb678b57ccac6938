"""After the package is uploaded: wait until the app answers, show its own check, start the first sync."""

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from azcli import AzError, az

TRIES = 30
WAIT = 10.0
"""Seconds between tries: a first start pulls the package and indexes the functions."""


def main(environment: Mapping[str, str], *, sleep: Callable[[float], None] = time.sleep) -> int:
    """Check and start; only an app that does not answer at all is a failure."""
    api = f"{environment['FUNCTION_URL']}/api"
    for _ in range(TRIES):
        status, _answer = call("GET", f"{api}/health")
        if status == 200:
            break
        print(f"Not up yet ({status or 'no answer'}).", flush=True)
        sleep(WAIT)
    else:
        print(f"{api}/health does not answer: look at the app's log stream in the portal.", file=sys.stderr)
        return 1
    print(f"The app is up: {api}/users")
    if environment.get("CALLER_AUTH") == "entra":
        print(f'Callers come with a token for {environment.get("CALLER_AUDIENCE")}: docs/deploy.md, "Callers".')
        print("The first sync runs on schedule.")
        return 0
    name, group = environment["AZURE_FUNCTION_NAME"], environment["AZURE_RESOURCE_GROUP"]
    ask = f"az functionapp keys list --resource-group {group} --name {name}"
    try:
        key = az(*ask.split()[1:])["functionKeys"]["default"]
    except AzError as error:
        print(f"No function key to check further with: {error}")
        return 0
    print(f"Callers need a function key: {ask} --query functionKeys")
    check(api, key)
    return 0


def check(api: str, key: str) -> None:
    """Print the app's check of every link; where all is well and nothing was ever stored, start a sync."""
    status, answer = call("GET", f"{api}/check", key)
    print(f"Its own check ({status}):\n{answer}")
    if status != 200:
        print('Put that right, then start a sync: docs/deploy.md, "First users".')
    elif call("GET", f"{api}/snapshot", key)[0] == 404:
        status, answer = call("POST", f"{api}/sync", key)
        print(
            "The first sync is on its way." if status == 202 else f"The first sync did not start ({status}): {answer}"
        )


def call(method: str, url: str, key: str = "") -> tuple[int, str]:
    """Send one request; returns the status (0: no answer) and the body, indented where it is JSON."""
    # FUNCTION_URL is the template's own output.
    request = Request(url, method=method, headers={"x-functions-key": key} if key else {})  # noqa: S310
    try:
        with urlopen(request, timeout=60) as response:  # noqa: S310 -- the same URL
            status, body = response.status, response.read()
    except HTTPError as error:
        with error:
            status, body = error.code, error.read()
    except (OSError, HTTPException):
        return 0, ""
    try:
        return status, json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except ValueError:
        return status, body.decode(errors="replace").strip()


if __name__ == "__main__":
    sys.exit(main(os.environ))
