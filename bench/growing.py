"""How the cost of a full run grows with the directory."""

import math
import shutil
from collections.abc import Iterator, Sequence
from typing import Any

from bench.figures import Figure, Table
from bench.measuring import python, spend
from bench.options import Options
from bench.stored import full_record, new_store
from bench.tenant import tenant

SIZES = (10_000, 100_000, 1_000_000, 10_000_000)


def measure(options: Options, sizes: Sequence[int] = SIZES) -> Iterator[Table]:
    """Full runs of ever larger directories."""
    sizes = [options.users(size) for size in sizes]
    told = [_run(options, size) for size in sizes]
    figures: list[Figure] = []
    for name, unit in (("time", "s"), ("CPU", "s"), ("requests", ""), ("resource units", ""), ("peak memory", "MB")):
        values = [each[name] for each in told]
        figures += [
            Figure(name=f"{name}, {size:,} users", unit=unit, values=[value])
            for size, value in zip(sizes, values, strict=True)
        ]
        figures.append(Figure(name=f"{name}, exponent", unit="", values=[exponent(sizes, values)]))
    notes = [f"{each['users']:,} users: {each['users'] / each['time']:,.0f} users a second" for each in told]
    yield Table(title="Growth of full runs to a folder, without latency", figures=figures, notes=notes)


def _run(options: Options, size: int) -> dict[str, Any]:
    store = new_store(options)
    with tenant(size) as azure:
        environment = {**azure.environment, "USERS_STORE": str(store)}
        spent = spend(python("-m", "entra_users", "sync", "--full"), environment, options.folder)
    record = full_record(store)
    shutil.rmtree(store)
    usage = record["usage"]
    return {
        "users": record["users"],
        "time": spent.seconds,
        "CPU": spent.cpu,
        "requests": usage["requests"],
        "resource units": usage["resource_units"],
        "peak memory": spent.memory,
    }


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """The power of the size with which a cost grows: the slope of the line through their logarithms."""
    x, y = [math.log(size) for size in sizes], [math.log(cost) for cost in costs]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    spread = sum((each - mean_x) ** 2 for each in x)
    return sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / spread if spread else math.nan
