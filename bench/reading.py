"""Processor time for a page of 999 users: on the console, into a stored copy, and over HTTP."""

from collections.abc import Callable, Iterator
from statistics import median

from bench.figures import Figure, Table, Target
from bench.host import functions_host
from bench.measuring import Spent, interleaved, python, spend
from bench.options import Options
from bench.starting import bare
from bench.stored import new_store
from bench.tenant import Tenant, tenant

ROUNDS = 5
PAGE = 999
USERS = 300_000
HTTP_PAGES = 200


def measure(options: Options) -> Iterator[Table]:
    """Processor time a page.

    What a program takes for one page is taken off, so that signing in and imports are not counted: that is another
    table's. What is left is divided by the users, so that shorter pages are at the reader's own cost.
    """
    with tenant(PAGE) as small, tenant(options.users(USERS)) as large:
        runs = {**_programs(small, options, " "), **_programs(large, options, "")}
        spent = interleaved(options.rounds(ROUNDS), runs)
        pages = (large.users - PAGE) / PAGE

        def per_page(name: str) -> list[float]:
            start = median(each.cpu for each in spent[f"{name} "])
            return [(each.cpu - start) / pages * 1000 for each in spent[name]]

        names = [name for name in runs if not name.endswith(" ")]
        figures = [Figure(name=names[0], unit="ms", values=per_page(names[0]))]
        targets = {"users --all --format ndjson": 1.0, "sync, full, to a folder": 1.3}
        for name in names[1:]:
            limit = targets.get(name)
            target = None if limit is None else Target(limit=limit, ratio=True)
            figures.append(Figure(name=name, unit="ms", values=per_page(name), base=figures[0], target=target))
        served = _served(large, options)
        figures.append(Figure(name="GET /api/users?$top=999, worker", unit="ms", values=served, base=figures[0]))
        yield Table(
            title=f"CPU for a page of 999 users ({large.users:,} users, {len(figures[0].values)} rounds)",
            figures=figures,
            notes=["Taken off: what the same program takes for a directory of one page."],
        )


def _programs(azure: Tenant, options: Options, mark: str) -> dict[str, Callable[[], Spent]]:
    """What reads all users of a tenant, by name; the baseline first."""

    def run(*arguments: str) -> Spent:
        environment = {**azure.environment, "USERS_STORE": str(new_store(options))}
        return spend(python(*arguments), environment, options.folder)

    output = ["--output", str(options.folder / "users.ndjson")]
    return {
        f"requests, bodies thrown away{mark}": lambda: run(str(bare()), "discard"),
        f"requests, response.json(){mark}": lambda: run(str(bare()), "json"),
        f"users --all --format ndjson{mark}": lambda: run(
            "-m", "entra_users", "users", "--all", "--format", "ndjson", *output
        ),
        f"sync, full, to a folder{mark}": lambda: run("-m", "entra_users", "sync", "--full"),
    }


def _served(azure: Tenant, options: Options) -> list[float]:
    """Milliseconds a page that the worker process takes to serve pages to one caller."""
    environment = {**azure.environment, **azure.queues, "SYNC_SCHEDULE": "0 0 0 1 1 *"}
    path, values = f"/api/users?$top={PAGE}", list[float]()
    pages = min(HTTP_PAGES, azure.users // PAGE)
    with functions_host(environment) as host:
        host.read_pages(path, 5)
        for _ in range(options.rounds(ROUNDS)):
            before = host.cpu()
            host.read_pages(path, pages)
            values.append((host.cpu() - before) / pages * 1000)
    return values
