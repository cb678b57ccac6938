"""What must hold before a snapshot is published."""

import math

from entra_users.errors import IncompleteDirectory, ShrinkRefused


def check_count(users: int, *, before: int | None, after: int | None, tolerance: float) -> None:
    """Hold the users that were read against Graph's own counts.

    Args:
        users: read.
        before: Graph's count before they were read; None where Graph cannot count.
        after: the same, after.
        tolerance: share by which they may differ, since Graph counts in an index that lags behind.

    Raises:
        IncompleteDirectory: fewer or more were read, or none where Graph cannot say that there are none.
    """
    if before is None or after is None:
        if users == 0:
            raise IncompleteDirectory("Graph gave no user at all and cannot count them; nothing was published.")
        return
    least, most = sorted((before, after))
    slack = math.ceil(most * tolerance) if most else 0
    if not least - slack <= users <= most + slack or (users == 0 and most > 0):
        raise IncompleteDirectory(
            f"{users:,} users were read, and Graph counted {before:,} before and {after:,} after; nothing was"
            f" published. Run again; raise SYNC_COUNT_TOLERANCE ({tolerance}) only if you know why they differ."
        )


def check_shrink(users: int, *, before: int, most: float, force: bool) -> None:
    """Hold a directory against the one before it.

    Args:
        users: in the new one.
        before: users in the old one.
        most: share by which it may have shrunk.
        force: whether the operator knows that they are gone.

    Raises:
        ShrinkRefused: it shrank by more.
    """
    if users < before * (1 - most) and not force:
        raise ShrinkRefused(
            f"The directory would shrink from {before:,} to {users:,} users, by more than SYNC_MAX_SHRINK ({most:.0%});"
            " nothing was published. If they are really gone, run with --force (force=true over HTTP).",
            users=users,
            removed=before - users,
        )
