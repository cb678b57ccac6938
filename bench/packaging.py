"""The package that is deployed: its size, and how long its triggers take to import."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from bench.figures import Figure, Table, Target
from bench.measuring import ROOT, Failed, Spent, interleaved, python, spend
from bench.options import Options
from bench.starting import compared
from bench.tenant import tenant

ROUNDS = 11


def measure(options: Options) -> Iterator[Table]:
    """Build the package as `azd deploy` does, into build/, and measure it."""
    built = subprocess.run(
        [sys.executable, str(ROOT / "infra" / "hooks" / "prepackage.py")], capture_output=True, text=True, check=False
    )
    if built.returncode != 0:
        raise Failed(built.stderr)
    yield from tables(options, ROOT / "build")


def tables(options: Options, package: Path) -> Iterator[Table]:
    """Size and start of a package that is there."""
    files = [path for path in package.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files) / 1e6
    yield Table(
        title="The deployed package",
        figures=[
            Figure(name="unzipped", unit="MB", values=[size], target=Target(limit=60)),
            Figure(name="files", unit="", values=[len(files)]),
        ],
    )
    paths = [str(package), str(package / ".python_packages/lib/site-packages")]

    with tenant(options.users(2_000)) as azure:

        def run(statement: str) -> Spent:
            # Nothing but the package is on the path, as on the platform.
            code = f"import sys; sys.path[:0] = {paths!r}; {statement}"
            return spend(python("-I", "-S", "-c", code), azure.environment, options.folder)

        page = "from entra_users.__main__ import main; sys.exit(main(['users']))"
        spent = interleaved(
            options.rounds(ROUNDS),
            {
                "import azure.functions": lambda: run("import azure.functions"),
                "import function_app": lambda: run("import function_app"),
                "first page of users": lambda: run(page),
            },
        )
    yield Table(
        title="Start from the package, as a fresh process",
        figures=compared(spent, "seconds", None) + compared(spent, "cpu", None),
    )
