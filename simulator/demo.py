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
from urllib.parse import quote

from simulator.functions import FunctionsHost, Keys, LogEntry, StartError
from simulator.simulation import Simulator

ROOT = Path(__file__).parents[1]
KEY = "demo"
SELECT = "id,displayName,userPrincipalName,mail,jobTitle,department,accountEnabled"
AZURITE_QUEUES = 10001
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
            with serve_app(app_folder(Path(folder)), environment, options.port) as host:
                show_users(options.port)
                if isinstance(host, FunctionsHost) or is_taken(AZURITE_QUEUES):
                    show_sync(options.port, azure)
                else:
                    print("\nNo sync is shown: `func start` needs Azurite for its queues (https://aka.ms/azurite).")
                show_addresses(options.port, azure)
                if not options.once:
                    print("\nCtrl-C stops it.", flush=True)
                    threading.Event().wait()
    except StartError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print()
    return 0


def app_folder(folder: Path) -> Path:
    """A folder in `folder` with the app, but without the local.settings.json that whoever develops it may have."""
    app = folder / "app"
    app.mkdir()
    for name in ("function_app.py", "host.json", "entra_users"):
        (app / name).symlink_to(ROOT / name)
    return app


def app_environment(azure: Simulator, folder: Path) -> dict[str, str]:
    """The settings of local.settings.json.example, with those that lead to the simulated tenant.

    They are all there are: no variable of this machine's has a say. Users are stored in `folder`.
    """
    document = json.loads((ROOT / "local.settings.json.example").read_text(encoding="utf-8"))
    proxy = {name: azure.environment[name] for name in ("HTTPS_PROXY", "NO_PROXY")}
    return {
        **{name: "" for name in os.environ if name.startswith("AzureWebJobsStorage__")},
        **document["Values"],
        **azure.environment,
        # Clients look for the lower-case names first, and a machine behind a proxy has them set.
        **{name.lower(): value for name, value in proxy.items()},
        **azure.app_settings("secret"),
        "USERS_STORE": str(folder / "users"),
    }


def serve_app(app: Path, environment: Mapping[str, str], port: int) -> AbstractContextManager[object]:
    """The app in this folder, answering on `port` within the context.

    Raises:
        StartError: the port is taken, or, on entering, the app does not start.
    """
    if is_taken(port):
        raise StartError(f"Port {port} is taken: end the program that uses it, or run `make demo PORT={port + 1}`.")
    if program := shutil.which("func"):
        return core_tools(program, app, environment, port)
    print("The app is served by a stand-in for `func start`, since Azure Functions Core Tools are not installed.")
    return FunctionsHost(app, environment, port=port, keys=Keys(default=KEY), show=print_trouble)


@contextmanager
def core_tools(program: str, app: Path, environment: Mapping[str, str], port: int) -> Generator[None]:
    """`func start`, with this Python for its worker; what it prints goes where our own output goes."""
    paths = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    process = subprocess.Popen(
        [program, "start", "--port", str(port)],
        cwd=app,
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
    """Ask the app for users, live from Graph."""
    path = f"/api/users?$select={SELECT}&$top=3&$count=true"
    page = ask(port, "GET", path)
    # What continues a list is as long as it is opaque.
    page["@odata.nextLink"] = page["@odata.nextLink"].partition("=")[0] + "=..."
    print(f"\nGET http://127.0.0.1:{port}{path}\n{json.dumps(page, indent=2, ensure_ascii=False)}")
    print(f"\n{len(page['value'])} of {page['@odata.count']:,} users; secret from Key Vault, token from Entra.")


def show_sync(port: int, azure: Simulator) -> None:
    """Let the app store all users, change ten of them, let it store these changes, and show what it says changed."""
    manifest = sync(port)
    told = {name: manifest[name] for name in ("run", "published_at", "users", "counted", "parts")}
    print(f"\nPOST /api/sync stored everyone. GET /api/snapshot, in part:\n{json.dumps(told, indent=2)}")
    users = azure.directory.users(["id"])
    for user in users[:3]:
        azure.directory.remove(user["id"])
    for user in users[3:7]:
        azure.directory.update(user["id"], jobTitle="Chief Demonstrator")
    for number in range(1, 4):
        azure.directory.add(displayName=f"Joiner {number}")
    sync(port)
    path = f"/api/changes?since={manifest['run']}"
    print(f"\nThen ten users were changed in the simulated tenant, and POST /api/sync again. GET {path}, in part:")
    for line in get(port, "GET", path)[1].splitlines():
        change = json.loads(line)
        told = {name: change["user"][name] for name in ("displayName", "jobTitle")} if "user" in change else {}
        print(json.dumps({**change, "user": told} if told else change, ensure_ascii=False))


def sync(port: int) -> dict[str, Any]:
    """Let the app store all users; the manifest.

    Raises:
        StartError: the run failed.
    """
    run = ask(port, "POST", "/api/sync")
    while run["state"] in {"queued", "running"}:
        time.sleep(0.1)
        run = ask(port, "GET", f"/api/sync/{run['run']}")
    if run["state"] == "failed":
        raise StartError(f"The run failed: {run['error']['message']}")
    return ask(port, "GET", "/api/snapshot")


def show_addresses(port: int, azure: Simulator) -> None:
    """Say what else to ask."""
    name = azure.directory.users(["userPrincipalName"])[0]["userPrincipalName"]
    print("\nTry next:")
    for path in (
        f"/api/?code={KEY}",
        f"/api/users?code={KEY}",
        f"/api/users?top=999&format=csv&code={KEY}",
        f"/api/users?filter=department%20eq%20%27HR%27&count=true&code={KEY}",
        f"/api/users?search=%22displayName:ann%22&code={KEY}",
        f"/api/users/{quote(name, safe='@')}?code={KEY}",
        f"/api/snapshot?code={KEY}",
        f"/api/sync?code={KEY}",
        "/api/health",
    ):
        print(f"  http://127.0.0.1:{port}{path}")


def ask(port: int, method: str, path: str) -> dict[str, Any]:
    """The JSON object that the app answers with.

    Raises:
        StartError: it answers with an error.
    """
    status, body = get(port, method, path)
    if status >= 300:
        raise StartError(f"{method} {path} was answered with {status}: {body.decode(errors='replace')}")
    return json.loads(body)


def get(port: int, method: str, path: str) -> tuple[int, bytes]:
    """Status and body of the app's answer; no proxy is asked, whatever the environment says.

    Raises:
        OSError: nothing answers there.
    """
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request(method, path, headers={"x-functions-key": KEY})
        response = connection.getresponse()
        return response.status, response.read()


def is_alive(port: int) -> bool:
    """Whether the app answers."""
    try:
        return get(port, "GET", "/api/health")[0] == 200
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
