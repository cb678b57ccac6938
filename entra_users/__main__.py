"""The console: `python -m entra_users users`, `sync`, `status`, `changes`, `check`.

Settings come from environment variables, and from local.settings.json in the current folder where a variable is not
set. Exit status: 0 done, 1 failed, 2 wrong use.
"""

import argparse
import json
import logging
import os
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from entra_users import quickstart, remedies, telemetry
from entra_users.connection import connect
from entra_users.console import Progress, complain, one_answer, whole_output
from entra_users.directory import read_directory
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
        pages = read_users(graph, url)
    else:
        settings = _settings(known)
        graph, columns = connect(settings, budget=settings.sync_budget_seconds, background=True), settings.users_select
        url = users_url(graph.root, columns)
        pages = read_directory(
            graph,
            columns,
            partition_users=settings.sync_partition_users,
            lanes=settings.sync_lanes,
            tolerance=settings.sync_count_tolerance,
        )
    with whole_output(given.output) as output:
        if given.all:
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


def _sync(given: argparse.Namespace, known: dict[str, str]) -> int:
    """Bring the stored copy up to date: by the changes since the last run, or by a full run where that cannot be."""
    terminal = sys.stderr if sys.stderr.isatty() else None
    settings = _settings(known)
    telemetry.configure(settings.applicationinsights_connection_string)
    from entra_users import console_sync  # noqa: PLC0415 -- lazy: each command loads what it needs

    sys.stdout.write(console_sync.sync(settings, full=given.full, force=given.force, terminal=terminal) + "\n")
    return 0


def _status(given: argparse.Namespace, known: dict[str, str]) -> int:  # noqa: ARG001 -- as every command
    """Print, as JSON, the snapshot that is published and the run that began last."""
    from entra_users import console_sync  # noqa: PLC0415 -- lazy, as above

    status = msgspec.json.encode(console_sync.status(_settings(known)))
    sys.stdout.write(msgspec.json.format(status).decode() + "\n")
    return 0


def _changes(given: argparse.Namespace, known: dict[str, str]) -> int:
    """Print, one a line, who was added, updated and removed since a run."""
    from entra_users import console_sync  # noqa: PLC0415 -- lazy, as above

    with whole_output(given.output) as output:
        console_sync.write_changes(_settings(known), given.since, output)
    return 0


def _check(given: argparse.Namespace, known: dict[str, str]) -> int:
    """Check every link between the app and its users: settings, identity, Key Vault, Entra, Graph, the store."""
    from entra_users import console_check  # noqa: PLC0415 -- lazy, as above
    from entra_users.diagnosis import diagnose, wrong_settings  # noqa: PLC0415

    try:
        diagnosis = diagnose(_settings(known))
    except SettingsError as error:
        diagnosis = wrong_settings(error)
    if given.json:
        text = msgspec.json.format(msgspec.json.encode(diagnosis)).decode()
    else:
        # https://no-color.org
        colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        text = console_check.table(diagnosis, width=shutil.get_terminal_size((100, 24)).columns, colour=colour)
    sys.stdout.write(text + "\n")
    return console_check.exit_status(diagnosis)


def _settings(known: dict[str, str]) -> Settings:
    settings = Settings.read(_environment())
    known |= remedies.facts(settings)
    return settings


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
    sync = commands.add_parser("sync", help="bring the stored copy up to date", description=_sync.__doc__)
    sync.add_argument("--full", action="store_true", help="read everything anew")
    sync.add_argument("--force", action="store_true", help="publish even if the directory shrank (SYNC_MAX_SHRINK)")
    sync.set_defaults(run=_sync)
    status = commands.add_parser("status", help="what is stored, how the last run went", description=_status.__doc__)
    status.set_defaults(run=_status)
    changes = commands.add_parser("changes", help="who was added, updated, removed", description=_changes.__doc__)
    changes.add_argument("--since", required=True, metavar="RUN", help="a run's id, as status names it")
    changes.add_argument("--output", type=Path, metavar="FILE", help="write a file instead of standard output")
    changes.set_defaults(run=_changes)
    check = commands.add_parser("check", help="what works, what does not, what to do", description=_check.__doc__)
    check.add_argument("--json", action="store_true", help="print JSON instead of a table")
    check.set_defaults(run=_check)
    return parser


if __name__ == "__main__":
    sys.exit(main())
