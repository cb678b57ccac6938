"""Runs that store users: time and memory of full runs, of incremental ones, and of those that find nothing changed."""

from collections.abc import Iterator

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
    output = ["--output", str(options.folder / "users.ndjson")]
    printing = ["users", "--all", "--format", "ndjson", *output]
    with (
        tenant(options.users(10_000)) as small,
        tenant(options.users(1_000_000)) as large,
        tenant(options.users(5_000_000)) as larger,
    ):
        spent = interleaved(
            options.rounds(ROUNDS),
            {
                "small all": lambda: _run(small, options, *printing),
                "large all": lambda: _run(large, options, *printing),
                "small sync": lambda: _full(small, options),
                "large sync": lambda: _full(large, options),
            },
        )
        largest = _full(larger, options)
        memory = {name: [each.memory for each in rounds] for name, rounds in spent.items()}
        few = Figure(name=f"users --all, {small.users:,} users", unit="MB", values=memory["small all"])
        stored = Figure(
            name=f"sync, full, {large.users:,} users", unit="MB", values=memory["large sync"], target=MEMORY
        )
        yield Table(
            title="Peak memory",
            figures=[
                few,
                Figure(name=f"users --all, {large.users:,} users", unit="MB", values=memory["large all"], base=few),
                Figure(name=f"sync, full, {small.users:,} users", unit="MB", values=memory["small sync"]),
                stored,
                Figure(
                    name=f"sync, full, {larger.users:,} users",
                    unit="MB",
                    values=[largest.memory],
                    base=stored,
                    target=Target(limit=1.1, ratio=True),
                ),
            ],
        )
        yield Table(
            title="Full runs to a folder, without latency",
            figures=[
                *_costs(f"{large.users:,} users", spent["large sync"]),
                *_costs(f"{larger.users:,} users", [largest]),
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


def _costs(name: str, spent: list[Spent]) -> list[Figure]:
    return [
        Figure(name=f"{name}, time", unit="s", values=[each.seconds for each in spent]),
        Figure(name=f"{name}, CPU", unit="s", values=[each.cpu for each in spent]),
    ]


def _run(azure: Tenant, options: Options, *command: str) -> Spent:
    environment = {**azure.environment, "USERS_STORE": str(store_of(options))}
    return spend(python("-m", "entra_users", *command), environment, options.folder)


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
