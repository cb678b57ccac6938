"""`python -m bench [NAME ...]`: measure, print tables, say PASS or MISS. A miss does not change the exit status.

Figures are of this machine, with the simulated tenant on it too: compare lines of one table, not tables of two runs.
"""

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from bench import growing, lanes, packaging, reading, sdk, starting, storing, workers
from bench.figures import Table, render
from bench.measuring import Failed
from bench.options import Options

MEASUREMENTS: Mapping[str, Callable[[Options], Iterator[Table]]] = {
    "start": starting.measure,
    "pages": reading.measure,
    "store": storing.measure,
    "lanes": lanes.measure,
    "workers": workers.measure,
    "growth": growing.measure,
    "sdk": sdk.measure,
    "package": packaging.measure,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; 0, or 1 where something could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"what to measure: {', '.join(MEASUREMENTS)} (all)")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies all numbers of users (1)")
    parser.add_argument("--rounds", type=int, default=100, help="at most so many rounds (as each measurement has)")
    given = parser.parse_args(arguments)
    if unknown := [name for name in given.names if name not in MEASUREMENTS]:
        parser.error(f"there is no measurement {unknown[0]!r}: choose from {', '.join(MEASUREMENTS)}")
    print(_machine(given.scale), flush=True)
    began, verdicts, failed = time.monotonic(), list[str](), False
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        options = Options(folder=Path(folder), scale=given.scale, most_rounds=given.rounds)
        for name in given.names or MEASUREMENTS:
            try:
                for table in MEASUREMENTS[name](options):
                    print(render(table), flush=True)
                    verdicts += [f"{each.verdict} {each.name}" for each in table.figures if each.verdict]
            except Failed as error:
                print(f"### {name}: FAILED\n\n{error}\n", flush=True)
                failed = True
    missed = [each for each in verdicts if each.startswith("MISS")]
    seconds = time.monotonic() - began
    print(f"{len(verdicts) - len(missed)} of {len(verdicts)} targets met, in {seconds:,.0f} s.", *missed, sep="\n")
    return int(failed)


def _machine(scale: float) -> str:
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    lines = [f"{os.cpu_count()} cores, {system}; the simulated tenant runs on the same cores."]
    if os.getloadavg()[0] > 1:
        lines.append(f"Others use this machine too (load {os.getloadavg()[0]:.1f}): figures will vary.")
    if scale != 1:
        lines.append(f"All numbers of users are {scale} of those that the targets are about.")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    sys.exit(main())
