"""Runs, snapshots and changes over HTTP."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from entra_users.api import Response, error_response
from entra_users.errors import BadQuery, NotFound, RunInProgress
from entra_users.formats import MEDIA_TYPES
from entra_users.parts import read_lines
from entra_users.runs import changes_files, latest_run, run_status
from entra_users.snapshot import Manifest, Start, read_manifest
from entra_users.store import Store

LINK_SECONDS = 300.0
"""How long a link to a stored file works."""

RUN_HEADER = "X-Snapshot-Run"
"""The run that an answer is as of: what to give as `since` next time."""


def run_flags(parameters: Mapping[str, str]) -> dict[str, bool]:
    """`full` and `force` as a caller gave them; false where not.

    Raises:
        BadQuery: one is neither true nor false, or something else was given.
    """
    flags = {"full": False, "force": False}
    for name, value in parameters.items():
        if name == "code":
            continue
        if name not in flags or value not in ("true", "false"):
            raise BadQuery(f"{name} is not an option here, or not true or false: there are full and force.", status=400)
        flags[name] = value == "true"
    return flags


def run_started(start: Start, address: str) -> Response:
    """202, with where to ask how the run stands.

    Args:
        start: of the run.
        address: of the list of runs, as the caller reached it.
    """
    return _json({"run": start.run, "state": "queued"}, status=202, Location=f"{address}/{start.run}")


def run_refused(error: RunInProgress, address: str) -> Response:
    """409, with where to ask how the run that is active stands."""
    refused = error_response(error)
    return Response(status=409, headers={**refused.headers, "Location": f"{address}/{error.run}"}, body=refused.body)


def get_run(store: Store, run: str | None = None) -> Response:
    """How a run stands, or the one that began last.

    Raises:
        NotFound: no such run is known.
        StoreError: as the store's methods.
    """
    return _json(run_status(store, run or latest_run(store)))


def get_snapshot(store: Store) -> Response:
    """The manifest, without the delta link, which never leaves the store.

    Raises:
        NotFound: there is no snapshot yet.
        StoreError: as the store's methods.
    """
    manifest = _published(store)
    return _json(msgspec.to_builtins(msgspec.structs.replace(manifest, delta_link=None)))


def get_file(store: Store, name: str) -> Response:
    """A file that the manifest names: a redirect to a short-lived link where the store gives one, else its bytes.

    Raises:
        NotFound: the manifest names no such file.
        StoreError: as the store's methods.
    """
    manifest = _published(store)
    files = [part.file for part in manifest.parts]
    files += [file for file in (manifest.csv, *(record.changes for record in manifest.history)) if file is not None]
    if name not in {file.name for file in files}:
        raise NotFound("The snapshot has no file of this name: GET /api/snapshot names all there are.")
    if (link := store.link(name, LINK_SECONDS)) is not None:
        return Response(status=302, headers={"Location": link, "Cache-Control": "no-store"})
    with store.open(name) as stream:
        return Response(headers={"Content-Type": "application/gzip"}, body=stream.read())


def get_changes(store: Store, since: str) -> Response:
    """All changes after a run as NDJSON, in the order in which they are to be applied: the last of a user counts.

    Raises:
        BadQuery: `since` is empty.
        NotFound: there is no snapshot, or `since` is not a run's id.
        ResyncRequired: changes since then are not kept any more.
        StoreError: as the store's methods.
    """
    if not since:
        raise BadQuery("since is missing: give the run that you last read, as GET /api/snapshot names it.", status=400)
    manifest = _published(store)

    def lines() -> Iterator[bytes]:
        for file in changes_files(manifest, since):
            for block in read_lines(store, file):
                yield from (line + b"\n" for line in block)

    return Response(headers={"Content-Type": MEDIA_TYPES["ndjson"], RUN_HEADER: manifest.run}, body=b"".join(lines()))


def _published(store: Store) -> Manifest:
    manifest, _ = read_manifest(store)
    if manifest is None:
        raise NotFound("There is no snapshot yet: start a run with POST /api/sync, or python -m entra_users sync.")
    return manifest


def _json(document: Any, *, status: int = 200, **headers: str) -> Response:
    return Response(
        status=status, headers={"Content-Type": MEDIA_TYPES["json"], **headers}, body=msgspec.json.encode(document)
    )
