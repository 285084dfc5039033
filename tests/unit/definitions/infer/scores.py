"""Precision and recall per type, for tests of detection. It knows labels, and nothing of how they came about."""

from collections import Counter
from collections.abc import Iterable, Mapping

from tieline.definitions.model import Field


def label(one: Field) -> str:
    """A field's type as the corpus writes it: ``text[]``, ``object in text``."""
    return one.type + ("[]" if one.list else "") + (" in text" if one.parse else "")


def labels(fields: Iterable[Field]) -> dict[str, str]:
    """Labels by path."""
    return {one.path: label(one) for one in fields}


class Scores:
    """Counts of what was expected, what was found, and what was both, by type."""

    def __init__(self) -> None:
        self.expected: Counter[str] = Counter()
        self.found: Counter[str] = Counter()
        self.right: Counter[str] = Counter()

    def add(self, expected: Mapping[str, str], found: Mapping[str, str]) -> None:
        """Count one document."""
        for path, kind in expected.items():
            self.expected[_type(kind)] += 1
            self.right[_type(kind)] += found.get(path) == kind
        for kind in found.values():
            self.found[_type(kind)] += 1

    def precision(self, kind: str) -> float:
        """Of the fields found to be of a type, the part that is."""
        return self.right[kind] / self.found[kind] if self.found[kind] else 1.0

    def recall(self, kind: str) -> float:
        """Of the fields of a type, the part that was found."""
        return self.right[kind] / self.expected[kind] if self.expected[kind] else 1.0

    def table(self) -> str:
        """A report, one line for each type."""
        kinds = sorted(self.expected | self.found)
        lines = [f"{'type':<10} {'expected':>8} {'found':>6} {'precision':>9} {'recall':>7}"]
        lines += [
            f"{kind:<10} {self.expected[kind]:>8} {self.found[kind]:>6} "
            f"{self.precision(kind):>9.3f} {self.recall(kind):>7.3f}"
            for kind in kinds
        ]
        return "\n".join(lines)


def _type(kind: str) -> str:
    return kind.removesuffix(" in text").removesuffix("[]")
