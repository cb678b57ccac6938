"""The same read by Microsoft's own SDK for Graph, which has a virtual environment of its own."""

from collections.abc import Iterator
from functools import partial
from statistics import median

from bench.figures import Figure, Table
from bench.measuring import ROOT, Spent, interleaved, python, spend
from bench.options import Options
from bench.reading import PAGE
from bench.starting import bare
from bench.tenant import Tenant, tenant

ROUNDS = 3
USERS = 3 * PAGE
PYTHON = ROOT / ".venv-conformance" / "bin" / "python"


def measure(options: Options) -> Iterator[Table]:
    """Processor time for a user and peak memory, beside the app's and the loop's."""
    if not PYTHON.exists():
        print("### Microsoft's SDK: skipped\n\n- .venv-conformance is not there: `make conformance` makes it.\n")
        return
    with tenant(PAGE) as small, tenant(USERS) as large:
        names = {"requests, response.json()": _bare, "msgraph-sdk, PageIterator": _sdk, "users --all": _app}
        spent = interleaved(
            options.rounds(ROUNDS),
            {
                f"{name}{mark}": partial(run, azure, options)
                for name, run in names.items()
                for mark, azure in ((" ", small), ("", large))
            },
        )

    def per_user(name: str) -> list[float]:
        start = median(each.cpu for each in spent[f"{name} "])
        return [(each.cpu - start) / (USERS - PAGE) * 1e6 for each in spent[name]]

    base, *others = [Figure(name=f"CPU a user, {name}", unit="us", values=per_user(name)) for name in names]
    figures = [base, *(Figure(name=each.name, unit=each.unit, values=each.values, base=base) for each in others)]
    for name in names:
        figures.append(Figure(name=f"CPU, {PAGE} users, {name}", unit="s", values=[e.cpu for e in spent[f"{name} "]]))
        figures.append(
            Figure(name=f"peak memory, {USERS:,} users, {name}", unit="MB", values=[e.memory for e in spent[name]])
        )
    yield Table(
        title="Microsoft's SDK for Graph, the same users",
        figures=figures,
        notes=["CPU a user: what 999 users took is taken off. The SDK's program also prints each user as JSON."],
    )


def _bare(azure: Tenant, options: Options) -> Spent:
    return spend(python(str(bare()), "json"), azure.environment, options.folder)


def _app(azure: Tenant, options: Options) -> Spent:
    command = ["-m", "entra_users", "users", "--all", "--format", "ndjson"]
    return spend(python(*command), azure.environment, options.folder)


def _sdk(azure: Tenant, options: Options) -> Spent:
    given = azure.environment
    environment = {
        **given,
        "SSL_CERT_FILE": given["REQUESTS_CA_BUNDLE"],
        "USERS_URL": "https://graph.microsoft.com/v1.0",
        "AZURE_TENANT_ID": given["GRAPH_TENANT_ID"],
        "AZURE_CLIENT_ID": given["GRAPH_CLIENT_ID"],
        "AZURE_CLIENT_SECRET": azure.secret,
    }
    program = ROOT / "tests" / "conformance" / "sdk_client.py"
    return spend(python(str(program), "list", program=PYTHON), environment, options.folder)
