"""How long it takes to begin: import of the triggers, and a fresh process to the first page of users."""

from collections.abc import Iterator
from pathlib import Path

from bench.figures import Figure, Table, Target
from bench.measuring import ROOT, Spent, interleaved, python, spend
from bench.options import Options
from bench.tenant import tenant

ROUNDS = 15


def measure(options: Options) -> Iterator[Table]:
    """Import and cold start."""
    with tenant(options.users(2_000)) as azure:

        def run(*arguments: str) -> Spent:
            return spend(python(*arguments), azure.environment, options.folder)

        imports = interleaved(
            options.rounds(ROUNDS),
            {
                "import azure.functions": lambda: run("-c", "import azure.functions"),
                "import function_app": lambda: run("-c", "import function_app"),
            },
        )
        yield Table(
            title="Import, as a fresh process",
            figures=compared(imports, "cpu", Target(limit=1.2, ratio=True)) + compared(imports, "seconds", None),
        )
        starts = interleaved(
            options.rounds(ROUNDS),
            {
                "the same calls, same SDKs": lambda: run(str(bare()), "first"),
                "python -m entra_users users": lambda: run("-m", "entra_users", "users"),
            },
        )
        yield Table(
            title="Cold start: a fresh process to the first page, by Key Vault, Entra and Graph",
            figures=compared(starts, "seconds", Target(limit=1.15, ratio=True))
            + compared(starts, "cpu", None)
            + compared(starts, "memory", None),
        )


def bare() -> Path:
    """The program that people would write instead."""
    return ROOT / "bench" / "bare.py"


_UNITS = {"seconds": ("ms", 1000.0, "time"), "cpu": ("ms", 1000.0, "CPU"), "memory": ("MB", 1.0, "peak memory")}


def compared(spent: dict[str, list[Spent]], what: str, target: Target | None) -> list[Figure]:
    """One figure for each variant; the first is the baseline, and the others have the target."""
    unit, factor, word = _UNITS[what]
    figures: list[Figure] = []
    for name, rounds in spent.items():
        values = [getattr(each, what) * factor for each in rounds]
        base = figures[0] if figures else None
        figures.append(
            Figure(name=f"{word}, {name}", unit=unit, values=values, base=base, target=target if figures else None)
        )
    return figures
