"""An incremental run: what changed since the snapshot's delta link, merged into its parts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain

import msgspec

from entra_users.delta import read_changes
from entra_users.graph import Graph
from entra_users.merge import Outcome, merge
from entra_users.parts import read_lines, write_file
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
        EntraUsersError: as Graph and store; nothing that is published was touched.
    """
    changes = read_changes(graph, str(manifest.delta_link))
    outcome = Outcome()
    if not changes.users:
        return Followed(parts=manifest.parts, changes=None, added=0, updated=0, removed=0, link=changes.link)
    # Kept first, and read back: whoever does this run again after a crash writes the same parts.
    link, users = _keep(store, run, changes.link, changes.users)
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


def _keep(
    store: Store, run: str, link: str, users: Mapping[str, msgspec.Raw | None]
) -> tuple[str, dict[str, bytes | None]]:
    """Write changes down for a run, or read what was written down for it before: the delta link and the users."""
    lines = (
        b"%s\t%s\n" % (user_id.encode(), bytes(user or b"").replace(b"\n", b" ")) for user_id, user in users.items()
    )
    file = write_file(store, f"runs/{run}/delta.gz", chain([link.encode() + b"\n"], lines))
    first, *kept = [line for block in read_lines(store, file) for line in block]
    pairs = (line.partition(b"\t") for line in kept)
    return first.decode(), {user_id.decode(): user or None for user_id, _, user in pairs}
