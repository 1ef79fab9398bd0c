"""Figures and how they are printed: what was measured, its yardstick in the same run, and the goal between the two."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, quantiles


@dataclass(frozen=True)
class Spread:
    """Durations of one thing done many times, in milliseconds."""

    p50: float
    p95: float
    count: int

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Spread":
        """Of durations in seconds."""
        return cls(median(seconds) * 1000, quantiles(seconds, n=20)[-1] * 1000, len(seconds))

    def __str__(self) -> str:
        return f"p50 {self.p50:.2f} ms, p95 {self.p95:.2f} ms (n={self.count})"


@dataclass(frozen=True)
class Figure:
    """One line of the result."""

    what: str
    ours: str
    yardstick: str
    ratio: str
    goal: str
    is_met: bool

    def printed(self) -> str:
        """As the reader sees it."""
        verdict = "met" if self.is_met else "NOT MET"
        return (
            f"{self.what}\n    ours       {self.ours}\n    yardstick  {self.yardstick}\n"
            f"    {self.ratio}; goal {self.goal}: {verdict}"
        )
