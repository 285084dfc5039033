"""Detection against documents whose types were written by hand. ``-s`` prints the figures; docs/types.md has them.

Those of ``corpus`` are what detection was made with. Those of ``held_out.json`` were written afterwards, and nothing
was changed for them since: they tell how well it works on answers that nobody had in mind.
"""

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
HELD_OUT: list[dict[str, Any]] = json.loads((Path(__file__).parent / "held_out.json").read_text(encoding="utf-8"))
# In doubt a number stays one: unix times under names that say nothing of time are not found.
LEAST_HELD_OUT = {"unix_time": 0.7}
PAGE = Path(__file__).parents[4] / "docs/types.md"


def scored(corpus: list[dict[str, Any]]) -> Scores:
    """The figures of a corpus."""
    scores = Scores()
    for entry in corpus:
        scores.add(entry["expected"], labels(detect(entry["document"])))
    sys.stdout.write(f"\n{len(corpus)} documents, {scores.expected.total()} fields\n{scores.table()}\n")
    return scores


def test_precision_and_recall_of_every_type() -> None:
    """Each type of the format is found where it is and not elsewhere, in at least 95 of 100 cases."""
    scores = scored(CORPUS)
    assert set(scores.expected) == set(FIELD_TYPES)
    below = [kind for kind in FIELD_TYPES if min(scores.precision(kind), scores.recall(kind)) < LEAST]
    assert not below, scores.table()


def test_precision_and_recall_on_answers_that_nobody_had_in_mind() -> None:
    """As good on documents that detection was not made with, but for unix times, which it leaves out in doubt."""
    scores = scored(HELD_OUT)
    assert set(scores.expected) == set(FIELD_TYPES)
    assert not [kind for kind in FIELD_TYPES if scores.precision(kind) < LEAST], scores.table()
    assert not [kind for kind in FIELD_TYPES if scores.recall(kind) < LEAST_HELD_OUT.get(kind, LEAST)], scores.table()


def test_the_page_has_the_figures() -> None:
    """docs/types.md says how many fields of each type there were and how many were found right, in both corpora."""
    both = (scored(CORPUS), scored(HELD_OUT))
    page = PAGE.read_text(encoding="utf-8")
    for kind in FIELD_TYPES:
        cells = [f"{each.expected[kind]} | {each.precision(kind):.2f} | {each.recall(kind):.2f}" for each in both]
        assert f"| `{kind}` | {' | '.join(cells)} |" in page
    assert f"{len(CORPUS)} documents" in page
    assert f"{len(HELD_OUT)} documents" in page


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
