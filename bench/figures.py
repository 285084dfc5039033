"""Figures: the rounds of each system in one measure, the goals they are held against, and how a table keeps them.

Owns medians, ratios and spread. Knows neither how a figure came about nor how it is printed.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

TIELINE = "Tieline"


@dataclass(slots=True)
class Figure:
    """What one system came to: ``rounds`` in the unit of the table, ``facts`` by column name for the reader."""

    system: str
    rounds: list[float] = field(default_factory=list)
    facts: dict[str, str | float] = field(default_factory=dict)

    @property
    def median(self) -> float:
        """The middle of the rounds."""
        return statistics.median(self.rounds)

    @property
    def spread(self) -> float:
        """How far the rounds lie apart: highest less lowest, as a part of the median."""
        return (max(self.rounds) - min(self.rounds)) / self.median if self.median else 0.0


@dataclass(frozen=True, slots=True)
class Goal:
    """What ``docs`` promises of a figure: ``value`` is at most ``limit``, or at least where ``least`` is true.

    ``value`` is None where what it is compared with was not there; ``judged`` is false where the machine is not one
    that the goal is for.
    """

    text: str
    value: float | None
    limit: float
    unit: str = ""
    least: bool = False
    judged: bool = True

    @property
    def met(self) -> bool | None:
        """Whether it is kept; None where that cannot be told."""
        if self.value is None or not self.judged:
            return None
        return self.value >= self.limit if self.least else self.value <= self.limit


@dataclass(slots=True)
class Table:
    """One measure: a figure for each system, the goals, and notes on what limited the run."""

    name: str
    title: str
    unit: str
    figures: list[Figure]
    goals: list[Goal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def median(self, system: str) -> float | None:
        """The median of ``system``, None where it did not take part."""
        return next((figure.median for figure in self.figures if figure.system == system and figure.rounds), None)

    def ratio(self, to: str, of: str = TIELINE) -> float | None:
        """The median of one system over that of another; None where one of them did not take part."""
        mine, theirs = self.median(of), self.median(to)
        return None if mine is None or not theirs else mine / theirs

    def promise(self, to: str, limit: float) -> None:
        """Add the goal that Tieline costs at most ``limit`` times what the system ``to`` costs."""
        self.goals.append(Goal(f"{self.title}, against {to}", self.ratio(to), limit, "×"))

    def as_json(self) -> dict[str, Any]:
        """Everything, as JSON values."""
        return {
            "name": self.name,
            "title": self.title,
            "unit": self.unit,
            "systems": [
                {
                    "system": figure.system,
                    "median": round(figure.median, 4),
                    "spread": round(figure.spread, 4),
                    "rounds": [round(value, 4) for value in figure.rounds],
                    "facts": figure.facts,
                }
                for figure in self.figures
            ],
            "ratios": {
                f"{TIELINE}/{figure.system}": round(ratio, 4)
                for figure in self.figures
                if figure.system != TIELINE and (ratio := self.ratio(figure.system)) is not None
            },
            "goals": [
                {
                    "text": goal.text,
                    "value": None if goal.value is None else round(goal.value, 4),
                    "limit": goal.limit,
                    "unit": goal.unit,
                    "least": goal.least,
                    "met": goal.met,
                }
                for goal in self.goals
            ],
            "notes": self.notes,
        }


def percentile(values: Sequence[float], part: float) -> float:
    """The smallest of ``values`` that at least ``part`` of them do not exceed (nearest rank)."""
    ordered = sorted(values)
    rank = -int(-part * len(ordered) // 1)  # rounded up
    return ordered[max(0, min(len(ordered), rank) - 1)]
