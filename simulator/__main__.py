"""The simulator as a program: `python -m simulator --users 2000`, up until Ctrl-C.

It prints, as lines for a shell, the environment that leads clients to it and the settings of the function app.
"""

import argparse
import errno
import shlex
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from simulator.clouds import CLOUDS
from simulator.entra import CREDENTIALS
from simulator.simulation import Simulator


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until SIGINT or SIGTERM; returns 0, or 2 where it cannot begin."""
    options = _parser().parse_args(arguments)
    try:
        azure = Simulator(users=options.users, port=options.port)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        print(f"Port {options.port} is taken: choose another with --port, or 0 for a free one.", file=sys.stderr)
        return 2
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: stop.set())
    with azure:
        azure.state.latency = options.latency
        settings = azure.environment | azure.app_settings(options.credential, cloud=options.cloud)
        lines = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in settings.items())
        if options.env_file is not None:
            options.env_file.write_text(lines)
        print(lines, end="", flush=True)
        stop.wait()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m simulator", description="Microsoft Entra, Graph and Key Vault.")
    parser.add_argument("--users", type=int, default=2000, help="how many users the directory has (2000)")
    parser.add_argument("--port", type=int, default=0, help="the port on loopback (a free one)")
    parser.add_argument("--env-file", type=Path, metavar="FILE", help="write the printed lines to this file too")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each of Graph's answers (0)")
    parser.add_argument("--credential", choices=CREDENTIALS, default="secret", help="how the app signs in (secret)")
    parser.add_argument("--cloud", choices=list(CLOUDS), default="global", help="the national cloud (global)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
