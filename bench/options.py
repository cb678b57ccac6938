"""How large and how often to measure."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What holds for every measurement.

    Attributes:
        folder: for whatever is written; removed at the end.
        scale: what all numbers of users are multiplied with; the targets are about 1.
        most_rounds: no measurement has more rounds.
        latency: seconds that Graph waits before each answer, where waiting is what is measured.
    """

    folder: Path
    scale: float = 1.0
    most_rounds: int = 100
    latency: float = 0.15

    def users(self, count: int) -> int:
        """A number of users, scaled; at least two pages."""
        return max(2_000, round(count * self.scale))

    def rounds(self, count: int) -> int:
        """A number of rounds, limited."""
        return min(count, self.most_rounds)
