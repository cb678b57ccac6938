"""Runs that store users: time and memory of full runs, of incremental ones, and of those that find nothing changed."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial

from bench.figures import Figure, Table, Target
from bench.measuring import Spent, interleaved, python, spend
from bench.options import Options
from bench.stored import data_files, manifest_of, new_store, some_ids, store_of
from bench.tenant import Tenant, tenant

ROUNDS = 3
CHANGES = 1_000
MEMORY = Target(limit=100)


def measure(options: Options) -> Iterator[Table]:
    """Full, incremental and unchanged runs."""
    with (
        tenant(options.users(10_000)) as small,
        tenant(options.users(100_000)) as middle,
        tenant(options.users(1_000_000)) as large,
        tenant(options.users(5_000_000)) as larger,
    ):
        spent = interleaved(
            options.rounds(ROUNDS),
            {
                "few": partial(_print, small, options),
                "busy": partial(_print, middle, options),
                "many": partial(_print, large, options),
                "alone": partial(_print, large, options, {"SYNC_LANES": "1"}),
                "small": partial(_full, small, options),
                "large": partial(_full, large, options),
            },
        )
        spent["larger"] = [_full(larger, options)]
        few, busy, many, alone = [
            Figure(name=f"users --all, {name} users", unit="MB", values=[each.memory for each in spent[key]])
            for key, name in (
                ("few", f"{small.users:,}"),
                ("busy", f"{middle.users:,}"),
                ("many", f"{large.users:,}"),
                ("alone", f"SYNC_LANES=1, {large.users:,}"),
            )
        ]
        stored = [
            Figure(name=f"sync, full, {azure.users:,} users", unit="MB", values=[each.memory for each in spent[key]])
            for key, azure in (("small", small), ("large", large), ("larger", larger))
        ]
        flat = Target(limit=1.1, ratio=True)
        yield Table(
            title="Peak memory",
            figures=[
                few,
                replace(many, base=few, target=flat, note="one thread reads a small directory, eight a large one"),
                replace(alone, base=few, target=flat),
                busy,
                replace(many, name=f"{many.name}, again", base=busy, target=flat),
                stored[0],
                replace(stored[1], target=MEMORY),
                replace(stored[2], base=stored[1], target=flat),
            ],
        )
        yield Table(
            title="Full runs to a folder, without latency",
            figures=[
                *_costs(f"{large.users:,} users", spent["large"], Target(limit=15)),
                *_costs(f"{larger.users:,} users", spent["larger"]),
            ],
        )
        yield _incremental(large, options)
        yield _unchanged(large, options)


def _incremental(azure: Tenant, options: Options) -> Table:
    """Runs that each meet a thousand changes, spread over the whole directory."""
    _full(azure, options)
    rounds: list[Spent] = []
    for turn in range(options.rounds(ROUNDS)):
        _change(azure, options, turn)
        rounds.append(_run(azure, options, "sync"))
    expected = f"sync, {CHANGES:,} changes on {azure.users:,} users"
    return Table(
        title="Incremental runs",
        figures=[
            Figure(name=expected, unit="s", values=[each.seconds for each in rounds], target=Target(limit=8)),
            Figure(name=f"{expected}, CPU", unit="s", values=[each.cpu for each in rounds]),
            Figure(name=f"{expected}, peak memory", unit="MB", values=[each.memory for each in rounds], target=MEMORY),
        ],
        notes=[_summary(rounds[-1])],
    )


def _unchanged(azure: Tenant, options: Options) -> Table:
    """A run that finds nothing changed: what it asked and what it wrote."""
    _run(azure, options, "sync")
    requests, written, rounds = list[float](), list[float](), list[Spent]()
    for _ in range(options.rounds(ROUNDS)):
        files, asked = data_files(store_of(options)), azure.graph_requests()
        rounds.append(_run(azure, options, "sync"))
        requests.append(azure.graph_requests() - asked)
        written.append(len(data_files(store_of(options)) - files))
    return Table(
        title="Runs that find nothing changed",
        figures=[
            Figure(name="requests to Graph", unit="", values=requests, target=Target(limit=1)),
            Figure(name="files of data written", unit="", values=written, target=Target(limit=0)),
            *_costs(f"sync, no change on {azure.users:,} users", rounds),
        ],
    )


def _costs(name: str, spent: list[Spent], target: Target | None = None) -> list[Figure]:
    return [
        Figure(name=f"{name}, time", unit="s", values=[each.seconds for each in spent], target=target),
        Figure(name=f"{name}, CPU", unit="s", values=[each.cpu for each in spent]),
    ]


def _run(azure: Tenant, options: Options, *command: str, settings: Mapping[str, str] | None = None) -> Spent:
    environment = {**azure.environment, "USERS_STORE": str(store_of(options)), **(settings or {})}
    return spend(python("-m", "entra_users", *command), environment, options.folder)


def _print(azure: Tenant, options: Options, settings: Mapping[str, str] | None = None) -> Spent:
    output = str(options.folder / "users.ndjson")
    return _run(azure, options, "users", "--all", "--format", "ndjson", "--output", output, settings=settings)


def _full(azure: Tenant, options: Options) -> Spent:
    new_store(options)
    return _run(azure, options, "sync", "--full")


def _change(azure: Tenant, options: Options, turn: int) -> None:
    """Add, update and remove a thousand users, in every part of the directory."""
    store, some = store_of(options), CHANGES * 4 // 5
    ids = some_ids(store, step=manifest_of(store)["users"] // some, first=turn)[:some]
    removed = set(ids[::4])
    order = {
        "add": CHANGES - len(ids),
        "update": [{"id": user, "jobTitle": f"Changed {turn}"} for user in ids if user not in removed],
        "remove": list(removed),
    }
    azure.control("users", order)


def _summary(spent: Spent) -> str:
    return next(line for line in spent.output.decode().splitlines() if line.startswith("users"))
