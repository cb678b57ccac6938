"""The whole directory as one stream of pages: every user once, read by several threads, held against Graph's count."""

from collections.abc import Iterator, Sequence

import msgspec

from entra_users.graph import Graph
from entra_users.guards import check_count
from entra_users.lanes import Sleep, read_in_lanes
from entra_users.partitions import count_users, plan_partitions, read_partition


def read_directory(
    graph: Graph, select: Sequence[str], *, partition_users: int, lanes: int, tolerance: float
) -> Iterator[list[msgspec.Raw]]:
    """All users, in no order, as the bytes Graph sent; one list a page.

    Args:
        graph: to read from.
        select: the properties to read; `id` and `createdDateTime` must be among them.
        partition_users: how many users one thread reads at a time; a smaller directory is read by one thread.
        lanes: how many threads.
        tolerance: share by which the users read may differ from Graph's count.

    Raises:
        IncompleteDirectory: at the end, if there were fewer or more users than Graph counts.
        EntraUsersError: as `read_partition`; what was given before is then not the whole.
    """
    planned = plan_partitions(graph, partition_users)
    partitions = {partition.number: partition for partition in planned.partitions}

    def read(number: int, sleep: Sleep) -> Iterator[list[msgspec.Raw]]:
        return read_partition(graph.lane(sleep), partitions[number], select)

    users = 0
    for page in read_in_lanes(read, partitions, lanes=lanes):
        users += len(page)
        yield page
    after = None if planned.users is None else count_users(graph)
    check_count(users, before=planned.users, after=after, tolerance=tolerance)
