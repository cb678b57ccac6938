"""A full run in this process, as the console does it, with the time of each phase: `python -m bench.phases`.

Prints one JSON object: seconds by phase, partitions, users, and what was asked of Graph.
"""

import itertools
import json
import os
import time
from datetime import UTC, datetime

import msgspec

from entra_users.connection import connect_sync
from entra_users.settings import Settings
from entra_users.snapshot import Plan, Start, new_run


def main() -> None:
    """Plan, export, publish."""
    sync, now = connect_sync(Settings.read(os.environ)), datetime.now(UTC)
    marks = [time.perf_counter()]
    plan = sync.begin(Start(run=new_run(now, "bench"), at=now, full=True))
    assert isinstance(plan, Plan)  # noqa: S101 -- a full run was asked for
    marks.append(time.perf_counter())
    sync.export_all(plan)
    marks.append(time.perf_counter())
    record = sync.publish(plan)
    marks.append(time.perf_counter())
    seconds = [after - before for before, after in itertools.pairwise(marks)]
    told = dict(zip(("plan", "export", "publish"), seconds, strict=True))
    usage = msgspec.to_builtins(record.usage)
    print(json.dumps({"seconds": told, "partitions": len(plan.partitions), "users": record.users, "usage": usage}))


if __name__ == "__main__":
    main()
