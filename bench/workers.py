"""One, two and four worker processes of the Functions host, to which the partition queue spreads a large run."""

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from bench.figures import Figure, Table
from bench.host import functions_host
from bench.measuring import Failed, interleaved
from bench.options import Options
from bench.stored import full_record, new_store
from bench.tenant import Tenant, tenant

ROUNDS = 2
USERS = 300_000
LONGEST = 300.0


def measure(options: Options) -> Iterator[Table]:
    """Worker processes against one."""
    with tenant(options.users(USERS), latency=options.latency, azurite=True) as azure:
        runs = {
            f"{count} worker{'s' if count > 1 else ''}": partial(_run, azure, options, count) for count in (1, 2, 4)
        }
        told = interleaved(options.rounds(ROUNDS), runs)
        figures: list[Figure] = []
        for name, rounds in told.items():
            values = [each["users"] / (each["seconds"] - each["planned"]) for each in rounds]
            figures.append(
                Figure(name=f"{name}, users a second", unit="", values=values, base=figures[0] if figures else None)
            )
        for name, rounds in told.items():
            seconds, memory = [each["seconds"] for each in rounds], [each["memory"] for each in rounds]
            figures.append(Figure(name=f"{name}, from request to snapshot", unit="s", values=seconds))
            figures.append(Figure(name=f"{name}, peak memory of the largest", unit="MB", values=memory))
        yield Table(
            title=f"Workers over the queue: {azure.users:,} users, {options.latency * 1000:.0f} ms a page",
            figures=figures,
            notes=[
                f"Queues: {azure.queues_are}. Users a second are those from the run's plan to its snapshot.",
                *map(_asked, told, told.values()),
            ],
        )


def _run(azure: Tenant, options: Options, workers: int) -> dict[str, Any]:
    """A full run, asked for over HTTP, until its snapshot is published."""
    store = new_store(options)
    settings = {
        "USERS_STORE": str(store),
        "SYNC_SCHEDULE": "0 0 0 1 1 *",
        "SYNC_INLINE_USERS": "1",
        "SYNC_PARTITION_USERS": str(azure.users // 50),
    }
    with functions_host({**azure.environment, **azure.queues, **settings}, workers=workers) as host:
        # The first request of each worker waits for its imports.
        for _ in range(workers):
            host.ask("GET", "/api/snapshot")
        began = time.perf_counter()
        status, body = host.ask("POST", "/api/sync?full=true")
        if status != 202:
            raise Failed(f"POST /api/sync was answered with {status}: {body[:500]!r}")
        planned = _await(store, "runs/*/plan.json", began)
        seconds, memory = _await(store, "latest.json", began), host.memory()
    return {**full_record(store), "planned": planned, "seconds": seconds, "memory": memory}


def _await(store: Path, pattern: str, began: float) -> float:
    """The seconds until the store holds such a file."""
    while not any(store.glob(pattern)):
        if time.perf_counter() - began > LONGEST:
            raise Failed(f"There was no {pattern} within {LONGEST:.0f} s of a run.")
        time.sleep(0.02)
    return time.perf_counter() - began


def _asked(name: str, rounds: list[dict[str, Any]]) -> str:
    last, usage = rounds[-1], rounds[-1]["usage"]
    return (
        f"{name}: {last['partitions']} partitions, {usage['requests']:,} requests, {usage['resource_units']:,} resource"
        f" units, {usage['retries']:,} retries"
    )
