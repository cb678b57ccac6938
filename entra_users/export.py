"""Exporting a partition: from Graph into the store."""

import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from entra_users import telemetry
from entra_users.formats import ndjson_pieces
from entra_users.graph import Graph
from entra_users.merge import part_name
from entra_users.partitions import read_partition
from entra_users.parts import write_file
from entra_users.snapshot import Part, Plan, Receipt, create_record, read_record
from entra_users.store import Store

_WORKER = secrets.token_hex(4)


def export_partition(
    graph: Graph,
    store: Store,
    plan: Plan,
    number: int,
    *,
    progress: Callable[[int], None] | None = None,
    sleep: Callable[[float], object] | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Receipt:
    """Read one partition into its part, and leave a receipt; one that has a receipt is not read again.

    Args:
        graph: to read from.
        store: to write to.
        plan: of the run.
        number: of the partition.
        progress: told the number of users of every page.
        sleep: waits so many seconds; called with 0 after each page too, so that it can end the export by raising.
        now: the time, aware UTC.

    Raises:
        EntraUsersError: as `read_partition` and the store; nothing of the part is there then.
    """
    name = f"runs/{plan.run}/done-{number:05d}.json"
    if (done := read_record(store, name, Receipt)) is not None:
        return done
    partition = next(each for each in plan.partitions if each.number == number)
    lane, began = graph.lane(sleep), now()

    def lines() -> Iterator[bytes]:
        for users in read_partition(lane, partition, plan.select):
            yield from ndjson_pieces(users)
            read = len(users)
            del users  # as in `Graph.pages`
            if progress is not None:
                progress(read)
            if sleep is not None:
                sleep(0)

    with telemetry.span("partition", plan.run, number=number):
        file = write_file(store, part_name(plan.run, partition), lines())
    ended = now()
    receipt = Receipt(
        number=number,
        part=Part(partition=partition, file=file),
        usage=lane.usage,
        seconds=(ended - began).total_seconds(),
        at=ended,
        worker=_WORKER,
    )
    create_record(store, name, receipt)
    return receipt
