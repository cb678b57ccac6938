"""`make demo`: the app on this machine, against a simulated tenant; no Azure, no account.

`func start` serves it where Azure Functions Core Tools are installed, and `simulator.functions` elsewhere. Either way
the app itself runs unmodified: its settings and the way to the simulated services are environment variables.
"""

import argparse
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

from simulator.functions import FunctionsHost, Keys, LogEntry, StartError
from simulator.simulation import Simulator

APP = Path(__file__).parents[1]
KEY = "demo"
SELECT = "id,displayName,userPrincipalName,mail,jobTitle,department,accountEnabled"
START_SECONDS = 180.0
"""How long `func start` may take; the first time it downloads extensions."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until Ctrl-C, or once; returns 0, or 1 where it cannot."""
    parser = argparse.ArgumentParser(prog="python -m simulator.demo", description="The app, without Azure.")
    parser.add_argument("--port", type=int, default=7071, help="the app's port on 127.0.0.1 (7071)")
    parser.add_argument("--once", action="store_true", help="exit after the first call")
    options = parser.parse_args(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        with tempfile.TemporaryDirectory(prefix="demo-") as folder, Simulator(users=2000) as azure:
            environment = app_environment(azure, Path(folder))
            with serve_app(environment, options.port):
                show_users(options.port)
                if not options.once:
                    print("Ctrl-C stops it.", flush=True)
                    threading.Event().wait()
    except StartError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print()
    return 0


def app_environment(azure: Simulator, folder: Path) -> dict[str, str]:
    """The settings of local.settings.json.example, with those that lead to the simulated tenant.

    All of them, so that a local.settings.json, whose values are for a real tenant, has no say.
    """
    document = json.loads((APP / "local.settings.json.example").read_text(encoding="utf-8"))
    proxy = {name: azure.environment[name] for name in ("HTTPS_PROXY", "NO_PROXY")}
    return {
        **document["Values"],
        **azure.environment,
        # Clients look for the lower-case names first, and a machine behind a proxy has them set.
        **{name.lower(): value for name, value in proxy.items()},
        **azure.app_settings("secret"),
        "USERS_STORE": str(folder / "users"),
    }


def serve_app(environment: Mapping[str, str], port: int) -> AbstractContextManager[object]:
    """The app, answering on `port` within the context.

    Raises:
        StartError: the port is taken, or, on entering, the app does not start.
    """
    if is_taken(port):
        raise StartError(f"Port {port} is taken: end the program that uses it, or run `make demo PORT={port + 1}`.")
    if program := shutil.which("func"):
        return core_tools(program, environment, port)
    print("The app is served by a stand-in for `func start`, since Azure Functions Core Tools are not installed.")
    return FunctionsHost(APP, environment, port=port, keys=Keys(default=KEY), show=print_trouble)


@contextmanager
def core_tools(program: str, environment: Mapping[str, str], port: int) -> Generator[None]:
    """`func start`, with this Python for its worker; what it prints goes where our own output goes."""
    paths = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    process = subprocess.Popen(
        [program, "start", "--port", str(port)],
        cwd=APP,
        env={**os.environ, **environment, "PATH": paths, "VIRTUAL_ENV": sys.prefix},
    )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not is_alive(port):
            if process.poll() is not None:
                raise StartError(f"`func start` ended with status {process.returncode}; it says why above.")
            if time.monotonic() > deadline:
                raise StartError(f"`func start` did not serve the app within {START_SECONDS:.0f} seconds.")
            time.sleep(0.2)
        yield
    finally:
        process.terminate()
        process.wait()


def show_users(port: int) -> None:
    """Ask the app for users, print them, and say what else to ask.

    Raises:
        StartError: the app answers with an error.
    """
    path = f"/api/users?$select={SELECT}&$top=3&$count=true"
    status, body = get(port, path)
    if status != 200:
        raise StartError(f"GET {path} was answered with {status}: {body.decode(errors='replace')}")
    page: dict[str, Any] = json.loads(body)
    # What continues a list is as long as it is opaque.
    page["@odata.nextLink"] = page["@odata.nextLink"].partition("=")[0] + "=..."
    print(f"\nGET http://127.0.0.1:{port}{path}\n{json.dumps(page, indent=2, ensure_ascii=False)}")
    print(f"\n{len(page['value'])} of {page['@odata.count']:,} users; secret from Key Vault, token from Entra.")
    print("Try next:")
    name = page["value"][0]["userPrincipalName"]
    for query in (
        f"/api/users?code={KEY}",
        f"/api/users?top=999&format=csv&code={KEY}",
        f"/api/users?filter=department%20eq%20%27HR%27&count=true&code={KEY}",
        f"/api/users?search=%22displayName:ann%22&code={KEY}",
        f"/api/users/{name}?code={KEY}",
        "/api/health",
    ):
        print(f"  http://127.0.0.1:{port}{query}")
    sys.stdout.flush()


def get(port: int, path: str) -> tuple[int, bytes]:
    """Status and body of the app's answer; no proxy is asked, whatever the environment says.

    Raises:
        OSError: nothing answers there.
    """
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("GET", path, headers={"x-functions-key": KEY})
        response = connection.getresponse()
        return response.status, response.read()


def is_alive(port: int) -> bool:
    """Whether the app answers."""
    try:
        return get(port, "/api/health")[0] == 200
    except OSError:
        return False


def is_taken(port: int) -> bool:
    """Whether another program listens on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def print_trouble(entry: LogEntry) -> None:
    """Print what the host or the app warns of."""
    if entry.level in {"Warning", "Error", "Critical"}:
        print(entry, flush=True)


if __name__ == "__main__":
    sys.exit(main())
