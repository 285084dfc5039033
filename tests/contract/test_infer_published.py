"""Types detected in the sandbox's answers against those that OpenAI's document declares. ``-s`` prints the figures."""

import sys
from typing import Any

import openai
import pytest

from tests.contract.declared import LINKS, TEXTS, Declared
from tests.contract.published import DOCUMENT, Published
from tests.contract.test_sandbox_published import KEPT, POSTED, get, post
from tests.unit.definitions.infer.scores import Scores
from tieline.definitions.infer.detect import detect
from tieline.definitions.infer.drift import drift
from tieline.definitions.infer.shape import shape
from tieline.definitions.model import Field

pytestmark = pytest.mark.skipif(not DOCUMENT.exists(), reason="OpenAI's document is not beside this checkout")

LEAST = 0.95
READ = {
    "/models": None,
    "/files": "file",
    "/files/{file_id}": "file",
    "/batches": "batch",
    "/batches/{batch_id}": "batch",
    "/chat/completions": "chat",
    "/chat/completions/{completion_id}": "chat",
    "/chat/completions/{completion_id}/messages": "chat",
    "/responses/{response_id}": "response",
    "/responses/{response_id}/input_items": "response",
    "/conversations/{conversation_id}": "conversation",
    "/conversations/{conversation_id}/items": "conversation",
    "/vector_stores": "store",
    "/vector_stores/{vector_store_id}": "store",
    "/vector_stores/{vector_store_id}/files": "store",
}


@pytest.fixture(scope="module")
def published() -> Published:
    """The document."""
    return Published()


@pytest.fixture
def answers(client: openai.OpenAI, published: Published) -> dict[str, tuple[dict[str, Any], Any]]:
    """Answers of the sandbox by name, each with the schema that is declared for it."""
    found = {name: (published.answer("post", path), post(client, path, body)) for name, (path, body) in POSTED.items()}
    for path, kept in READ.items():
        before, brace, after = path.partition("{")
        real = f"{before}{KEPT[kept](client)}{after.partition('}')[2]}" if brace else path
        found[path] = (published.answer("get", path), get(client, real))
    return found


def plain(one: Field, *, item: bool) -> str:
    """A detected type as declarations have it: JSON in text is text, a list a list, its items of their type."""
    if item:
        return one.type
    return "text" if one.parse else "list" if one.list else one.type


def expected(words: set[str], values: list[Any], found: str) -> str:
    """The declared word, or the one found where the declaration leaves room for it."""
    if "text" in words and found in TEXTS:
        return found
    if words == LINKS and found in LINKS:
        return found
    if "number" in words and found == "integer" and all(isinstance(value, int) for value in values):
        return found
    return found if found in words else min(words)


def test_detected_types_are_the_declared_ones(
    answers: dict[str, tuple[dict[str, Any], Any]], published: Published
) -> None:
    """At every place of every answer that is not null, with precision and recall of 95 in 100 for each type."""
    scores = Scores()
    for schema, answer in answers.values():
        fields = {one.path: one for one in detect(answer)}
        closed = [one.path for one in fields.values() if one.type == "json"]
        for path, values, words in Declared(published, schema).places(answer):
            one = fields.get(path.removesuffix("[]"))
            if not words or any(path.startswith((f"{each}.", f"{each}[")) for each in closed):
                continue
            word = plain(one, item=path.endswith("[]")) if one is not None else "none"
            scores.add({path: expected(words, values, word)}, {path: word} if one is not None else {})
    sys.stdout.write(f"\n{len(answers)} answers, {scores.expected.total()} places\n{scores.table()}\n")
    assert scores.expected["unix_time"] > 20
    kinds = scores.expected | scores.found
    assert not [kind for kind in kinds if min(scores.precision(kind), scores.recall(kind)) < LEAST], scores.table()


def test_an_answer_is_as_its_own_fields_say(answers: dict[str, tuple[dict[str, Any], Any]]) -> None:
    """No answer drifts from its fields, and each keeps its shape where no text holds JSON."""
    for _, answer in answers.values():
        fields = detect(answer)
        assert drift(answer, fields) == ()
        assert any(one.parse for one in fields) or shape(answer, fields) == answer
