"""An incremental run: what changed since the snapshot's delta link, merged into its parts."""

from dataclasses import dataclass, field
from itertools import chain

from entra_users.delta import Changes, read_changes
from entra_users.errors import RunInProgress
from entra_users.graph import Graph
from entra_users.merge import Outcome, merge
from entra_users.parts import describe_file, read_lines, write_file
from entra_users.snapshot import File, Manifest, Part
from entra_users.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """What a snapshot has become: its parts, the changes that led to them, and the delta link to the next ones."""

    parts: list[Part]
    changes: File | None
    """None where nothing changed."""
    added: int
    updated: int
    removed: int
    link: str = field(repr=False)


def follow(graph: Graph, store: Store, run: str, manifest: Manifest) -> Followed:
    """Read the changes since a manifest's delta link, and write the parts that they touch anew.

    Raises:
        ResyncRequired: the delta link is no longer valid, or too much changed.
        RunInProgress: the run was begun before, and another has published since.
        EntraUsersError: as Graph and store; nothing that is published was touched.
    """
    since, outcome = str(manifest.delta_link), Outcome()
    if not is_followed(store, run):
        changes = read_changes(graph, since)
        if not changes.users:
            return Followed(parts=manifest.parts, changes=None, added=0, updated=0, removed=0, link=changes.link)
        _keep(store, run, since, changes)
    # Read back even if just written: whoever does this run again after a crash, or at once, writes the same parts.
    begun, link, users = _kept(store, run)
    if begun != since:
        raise RunInProgress(f"Another run published since run {run} was begun; its snapshot stands.")
    lines = merge(store, run, manifest.parts, users, manifest.select, outcome)
    file = write_file(store, f"snapshots/{run}/changes.ndjson.gz", lines)
    # Graph also repeats what it told in an earlier round.
    changed = file.lines > 0
    return Followed(
        parts=outcome.parts if changed else manifest.parts,
        changes=file if changed else None,
        added=outcome.added,
        updated=outcome.updated,
        removed=outcome.removed,
        link=link,
    )


def is_followed(store: Store, run: str) -> bool:
    """Whether a run was begun as an incremental one; it goes on as one, since full runs name their parts alike."""
    return bool(store.names(_name(run)))


def _name(run: str) -> str:
    return f"runs/{run}/delta.gz"


def _keep(store: Store, run: str, since: str, changes: Changes) -> None:
    """Write changes down for a run, unless that was done before: both delta links, and the users."""
    links = f"{since}\t{changes.link}\n".encode()
    users = (
        b"%s\t%s\n" % (user_id.encode(), bytes(user or b"").replace(b"\n", b" "))
        for user_id, user in changes.users.items()
    )
    write_file(store, _name(run), chain([links], users))


def _kept(store: Store, run: str) -> tuple[str, str, dict[str, bytes | None]]:
    """What was written down for a run: the delta link that it began from, the next one, and the users."""
    file = describe_file(store, _name(run))
    links, *kept = [line for block in read_lines(store, file) for line in block]
    begun, _, link = links.decode().partition("\t")
    users = (line.partition(b"\t") for line in kept)
    return begun, link, {user_id.decode(): user or None for user_id, _, user in users}
