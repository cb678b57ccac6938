"""Figures in tables: median and spread of all rounds, the ratio to a baseline of the same rounds, PASS or MISS."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a figure should be.

    Attributes:
        limit: a ratio to the baseline, or else a value.
        least: whether less than the limit misses it, instead of more.
        ratio: whether the limit is a ratio.
    """

    limit: float
    least: bool = False
    ratio: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of a table.

    Attributes:
        name: what was measured.
        unit: of the values.
        values: one a round.
        base: what the ratio is to, measured in the same rounds.
        target: what it should be, where there is such a thing.
        note: what else is to be known.
    """

    name: str
    unit: str
    values: Sequence[float]
    base: Self | None = None
    target: Target | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """The median of the rounds' ratios to the baseline, so that what slows a round slows both."""
        if self.base is None:
            return None
        if len(self.values) == len(self.base.values):
            return median(mine / theirs for mine, theirs in zip(self.values, self.base.values, strict=True))
        return median(self.values) / median(self.base.values)

    @property
    def verdict(self) -> str:
        """`PASS`, `MISS`, or nothing where there is no target."""
        if self.target is None:
            return ""
        value = self.ratio if self.target.ratio else median(self.values)
        if value is None:
            raise ValueError(f"{self.name} has a target for its ratio, and no baseline")
        return "PASS" if (value >= self.target.limit if self.target.least else value <= self.target.limit) else "MISS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Figures of one run, and what they are of."""

    title: str
    figures: Sequence[Figure]
    notes: Sequence[str] = field(default_factory=tuple[str, ...])


def render(table: Table) -> str:
    """A table as text; Markdown shows it as a table too."""
    head = ("", "median", "spread", "ratio", "target", "")
    rows = [head, *(_cells(figure) for figure in table.figures)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "| "
        + " | ".join(_padded(cell, width, left=place in {0, 4, 5}) for place, (cell, width) in enumerate(row))
        + " |"
        for row in (list(zip(cells, widths, strict=True)) for cells in rows)
    ]
    rule = (
        "|"
        + "|".join("-" * (width + 1) + ("-" if place in {0, 4, 5} else ":") for place, width in enumerate(widths))
        + "|"
    )
    notes = [f"- {figure.name}: {figure.note}" for figure in table.figures if figure.note]
    notes += [f"- {note}" for note in table.notes]
    return "\n".join([f"### {table.title}", "", lines[0], rule, *lines[1:], *([""] if notes else []), *notes, ""])


def _cells(figure: Figure) -> tuple[str, ...]:
    middle, least, most = median(figure.values), min(figure.values), max(figure.values)
    return (
        figure.name,
        f"{number(middle)} {figure.unit}",
        f"{number(least)} - {number(most)}" if len(figure.values) > 1 else "one round",
        "" if figure.ratio is None else f"{figure.ratio:.2f}x",
        _target(figure),
        figure.verdict,
    )


def _target(figure: Figure) -> str:
    if figure.target is None:
        return ""
    limit = f"{figure.target.limit:.2f}x" if figure.target.ratio else f"{number(figure.target.limit)} {figure.unit}"
    return f"{'at least' if figure.target.least else 'at most'} {limit}"


def number(value: float) -> str:
    """A number with as many digits as say something."""
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _padded(cell: str, width: int, *, left: bool) -> str:
    return cell.ljust(width) if left else cell.rjust(width)
