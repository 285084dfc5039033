"""Detection against more than ninety documents whose types were written by hand. ``-s`` prints the figures."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.unit.definitions.infer.scores import Scores, labels
from tieline.definitions.infer.detect import detect, merge
from tieline.definitions.infer.drift import drift
from tieline.definitions.infer.shape import shape
from tieline.definitions.responses import FIELD_TYPES

LEAST = 0.95
CORPUS: list[dict[str, Any]] = [
    entry
    for path in sorted((Path(__file__).parent / "corpus").glob("*.json"))
    for entry in json.loads(path.read_text(encoding="utf-8"))
]


def test_precision_and_recall_of_every_type() -> None:
    """Each type of the format is found where it is and not elsewhere, in at least 95 of 100 cases."""
    scores = Scores()
    for entry in CORPUS:
        scores.add(entry["expected"], labels(detect(entry["document"])))
    sys.stdout.write(f"\n{len(CORPUS)} documents, {scores.expected.total()} fields\n{scores.table()}\n")
    assert set(scores.expected) == set(FIELD_TYPES)
    below = [kind for kind in FIELD_TYPES if min(scores.precision(kind), scores.recall(kind)) < LEAST]
    assert not below, scores.table()


@pytest.mark.parametrize("entry", CORPUS, ids=lambda entry: entry["about"])
def test_a_document_has_the_fields_a_person_sees(entry: dict[str, Any]) -> None:
    """No field is missing, invented or of another type."""
    assert labels(detect(entry["document"])) == entry["expected"]


@pytest.mark.parametrize("entry", CORPUS, ids=lambda entry: entry["about"])
def test_a_document_does_not_drift_from_its_own_fields(entry: dict[str, Any]) -> None:
    """What was just seen is no difference, and seeing it again changes no type."""
    fields = detect(entry["document"])
    assert drift(entry["document"], fields) == ()
    assert labels(merge(fields, entry["document"])) == labels(fields)


@pytest.mark.parametrize("entry", CORPUS, ids=lambda entry: entry["about"])
def test_a_document_keeps_its_shape(entry: dict[str, Any]) -> None:
    """With every field included the shape is the document, but for JSON in text."""
    if not any(kind.endswith(" in text") for kind in entry["expected"].values()):
        assert shape(entry["document"], detect(entry["document"])) == entry["document"]
