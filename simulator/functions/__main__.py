"""`python -m simulator.functions --app DIR`: serve a function app on this machine, as `func start` does."""

import argparse
import signal
import sys
import threading
from pathlib import Path

from simulator.functions.errors import PortTaken, StartError
from simulator.functions.functions import Function
from simulator.functions.host import FunctionsHost
from simulator.functions.keys import Keys
from simulator.functions.logs import LogEntry


def main(arguments: list[str] | None = None) -> int:
    """Serve until Ctrl-C; return 0, 1 when the app cannot start, 2 when the port is taken."""
    parser = argparse.ArgumentParser(prog="python -m simulator.functions", description=__doc__)
    parser.add_argument(
        "--app", type=Path, default=Path(), help="folder of function_app.py and host.json (default: here)"
    )
    parser.add_argument("--port", type=int, default=7071, help="port on 127.0.0.1 (default: 7071)")
    parser.add_argument("--workers", type=int, default=1, help="worker processes (default: 1)")
    parser.add_argument("--key", help="the default host key (default: a random one)")
    options = parser.parse_args(arguments)
    keys = Keys(default=options.key) if options.key else Keys()
    host = FunctionsHost(options.app, port=options.port, workers=options.workers, keys=keys, schedules=True, show=show)
    # Whoever started this in the background ends it so, and means the same.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with host:
            print(summary(host), flush=True)
            threading.Event().wait()
    except KeyboardInterrupt:
        pass
    except PortTaken as error:
        print(error, file=sys.stderr)
        return 2
    except StartError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def show(entry: LogEntry) -> None:
    """Print a log entry, unless it is the worker library's own and no warning; `func start` leaves those out too."""
    if entry.category != "azure.functions" or entry.level not in {"Debug", "Information"}:
        print(entry, flush=True)


def summary(host: FunctionsHost) -> str:
    """List the functions as `func start` does, and the keys, which it has no need to tell."""
    lines = ["", "Functions:", ""]
    lines += [f"\t{function.name}: {_where(host, function)}\n" for function in sorted(host.functions, key=_is_no_http)]
    return "\n".join([*lines, f"Key: {host.keys.default}", f"Master key: {host.keys.master}", ""])


def _is_no_http(function: Function) -> bool:
    return function.route is None


def _where(host: FunctionsHost, function: Function) -> str:
    if not function.route:
        return function.trigger
    methods = f"[{','.join(function.methods)}] " if function.methods else ""
    return f"{methods}{host.url}/{function.route.text}"


if __name__ == "__main__":
    sys.exit(main())
