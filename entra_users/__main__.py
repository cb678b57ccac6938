"""The console: `python -m entra_users users`.

Settings come from environment variables, and from local.settings.json in the current folder where a variable is not
set. Exit status: 0 done, 1 failed, 2 wrong use.
"""

import argparse
import json
import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from entra_users import quickstart, remedies
from entra_users.connection import connect
from entra_users.console import Progress, complain, one_answer, whole_output
from entra_users.errors import EntraUsersError, SettingsError
from entra_users.formats import MEDIA_TYPES, document
from entra_users.properties import DEFAULT_SELECT
from entra_users.settings import Settings
from entra_users.users import read_users, users_url


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    given = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _terminated)
    known: dict[str, str] = {}
    try:
        return given.run(given, known)
    except SettingsError as error:
        complain(error, "")
        return 2
    except EntraUsersError as error:
        complain(error, remedies.advice(error, known) if known else "")
        return 1
    except OSError as error:
        sys.stderr.write(f"error: {error.filename or 'standard output'}: {error.strerror}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted; nothing was written\n")
        return 130


def _terminated(*_: object) -> None:
    """End as by an error, so that what is half written is taken away; the exit status is the one shells use."""
    sys.exit(143)


def _users(given: argparse.Namespace, known: dict[str, str]) -> int:
    """Print the first page of users, or with --all every user: all of them or an error, never a part."""
    if given.parameters is not None:
        parameters = quickstart.read_parameters(given.parameters)
        known |= remedies.parameters_facts(
            parameters.authority or parameters.oidc_authority or "", parameters.client_id
        )
        graph, url = quickstart.connect(parameters, budget=Settings().sync_budget_seconds), parameters.endpoint
        columns = parse_qs(urlsplit(url).query).get("$select", [",".join(DEFAULT_SELECT)])[0].split(",")
    else:
        settings = Settings.read(_environment())
        known |= remedies.facts(settings)
        graph, columns = connect(settings, budget=settings.sync_budget_seconds, background=True), settings.users_select
        url = users_url(graph.root, columns)
    with whole_output(given.output) as output:
        if given.all:
            pages = read_users(graph, url)
            shown = Progress(sys.stderr).over(pages) if sys.stderr.isatty() else pages
            output.writelines(document(shown, given.format, columns))
            return 0
        if given.format == "json":
            body, more = one_answer(graph, url)
            output.write(body + b"\n")
        else:
            page = graph.page(url)
            output.writelines(document([page.users], given.format, columns))
            more = page.next_link is not None
        if more:
            sys.stderr.write("This is the first page; --all reads every user.\n")
    return 0


def _environment() -> Mapping[str, str]:
    """Environment variables over the values of local.settings.json, as Core Tools merges them."""
    path = Path("local.settings.json")
    if not path.exists():
        return os.environ
    try:
        document: Any = json.loads(path.read_text(encoding="utf-8-sig"))
        values: dict[str, Any] = document["Values"]
        return {**{name: str(value) for name, value in values.items()}, **os.environ}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise SettingsError(['local.settings.json is not JSON of the form {"Values": {"NAME": "value"}}.']) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m entra_users", description="The users of a Microsoft Entra tenant.")
    commands = parser.add_subparsers(title="commands", required=True)
    users = commands.add_parser("users", help="print users: the first page, or all", description=_users.__doc__)
    users.add_argument("--parameters", type=Path, metavar="FILE", help="the parameters file of Microsoft's quickstart")
    users.add_argument("--all", action="store_true", help="follow every page")
    users.add_argument("--format", choices=MEDIA_TYPES, default="json", help="(default: json)")
    users.add_argument("--output", type=Path, metavar="FILE", help="write a file instead of standard output")
    users.set_defaults(run=_users)
    return parser


if __name__ == "__main__":
    sys.exit(main())
