"""What reading in several threads gains where every page takes 150 ms to come."""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

from bench.figures import Figure, Table, Target
from bench.measuring import interleaved, python, spend
from bench.options import Options
from bench.stored import new_store
from bench.tenant import Tenant, tenant

ROUNDS = 2
FEW, MANY = 64_000, 1_000_000
LANES = 16
SETTINGS = ((LANES, 5_000), (24, 8_000))


def measure(options: Options) -> Iterator[Table]:
    """One lane against sixteen, and a million users."""
    with tenant(options.users(FEW), latency=options.latency) as azure:
        # Partitions so small that all lanes end together: what is compared is reading, not the rest of a division.
        runs = {lanes: partial(_run, azure, options, lanes=lanes, partition=1_000) for lanes in (1, 8, LANES)}
        named = {f"{lanes} lane{'s' if lanes > 1 else ''}": run for lanes, run in runs.items()}
        told = interleaved(options.rounds(ROUNDS), named)
        one, *others = [_rate(name, rounds) for name, rounds in told.items()]
        compared = [one]
        for figure in others:
            target = Target(limit=14, ratio=True, least=True) if figure.name.startswith(f"{LANES} ") else None
            compared.append(Figure(name=figure.name, unit=figure.unit, values=figure.values, base=one, target=target))
        yield Table(
            title=f"Users exported a second at {options.latency * 1000:.0f} ms a page, {azure.users:,} users",
            figures=compared,
            notes=[_told(f"{name}, last round", rounds[-1]) for name, rounds in told.items()],
        )
    with tenant(options.users(MANY), latency=options.latency) as azure:
        settings = {f"SYNC_LANES={lanes} SYNC_PARTITION_USERS={size}": (lanes, size) for lanes, size in SETTINGS}
        told = interleaved(
            options.rounds(ROUNDS),
            {
                name: partial(_run, azure, options, lanes=lanes, partition=size)
                for name, (lanes, size) in settings.items()
            },
        )
        yield Table(
            title=f"{azure.users:,} users at {options.latency * 1000:.0f} ms a page, full run to a folder",
            figures=[
                Figure(name=name, unit="s", values=[each["whole"] for each in rounds], target=Target(limit=15))
                for name, rounds in told.items()
            ],
            notes=[_told(f"{name}, last round", rounds[-1]) for name, rounds in told.items()],
        )


def _run(azure: Tenant, options: Options, *, lanes: int, partition: int) -> dict[str, Any]:
    settings = {
        "USERS_STORE": str(new_store(options)),
        "SYNC_LANES": str(lanes),
        "SYNC_PARTITION_USERS": str(partition),
    }
    spent = spend(python("-m", "bench.phases"), {**azure.environment, **settings}, options.folder)
    return json.loads(spent.output) | {"whole": spent.seconds, "cpu": spent.cpu, "memory": spent.memory}


def _rate(name: str, rounds: list[dict[str, Any]]) -> Figure:
    return Figure(name=name, unit="", values=[each["users"] / each["seconds"]["export"] for each in rounds])


def _told(name: str, told: dict[str, Any]) -> str:
    seconds, usage = told["seconds"], told["usage"]
    return (
        f"{name}: plan {seconds['plan']:.1f} s, export {seconds['export']:.1f} s, publish {seconds['publish']:.1f} s;"
        f" {told['partitions']} partitions, {usage['requests']:,} requests, {usage['resource_units']:,} resource units,"
        f" CPU {told['cpu']:.1f} s, peak memory {told['memory']:.0f} MB"
    )
