"""Doubling the input of whatever reads what outsiders send at most doubles its steps: one table, a row for each way."""

import ast
from itertools import pairwise
from pathlib import Path

import pytest

import tieline
from tests.steps import effort
from tests.unit.growth import definitions, doors, schemes, streams
from tests.unit.growth.row import Rows

TABLE: Rows = {
    f"{room} {name}": row
    for room, rows in (("doors", doors), ("definitions", definitions), ("schemes", schemes), ("streams", streams))
    for name, row in rows.ROWS.items()
}
SIZE = 120
MOST = 2.2
ROOM = 120  # steps that do not depend on the input


@pytest.mark.parametrize("name", TABLE)
def test_twice_the_input_takes_at_most_twice_the_steps(name: str) -> None:
    """At one size, at twice and at four times it."""
    work, made = TABLE[name]
    counts: list[int] = []
    for given in [made(SIZE * times) for times in (1, 2, 4)]:
        work(given)  # what is done once and remembered
        counts.append(effort(lambda given=given: work(given)).steps)  # type: ignore[misc]
    assert all(twice <= MOST * once + ROOM for once, twice in pairwise(counts)), counts


PRODUCT = Path(tieline.__file__).parent
TAKES_APART = {
    "finditer", "findall", "find", "fullmatch", "match", "partition", "rfind", "rpartition", "rsplit", "search",
    "split", "splitlines", "sub", "subn", "translate",
}  # fmt: skip
ROOMS = ("core", "access", "wire", "web", "dataplane/admission", "dataplane/answers", "dataplane/attempt",
         "dataplane/doors", "definitions/infer")  # fmt: skip


WITHOUT = {
    "tieline.access.appkey": "a key of a fixed length, else refused",
    "tieline.access.budgets": "sums of money, of at most 20 characters",
    "tieline.access.decide": "what access.areas finds, which is as deep as a definition",
    "tieline.access.rules": "rules of definitions, each short",
    "tieline.core.quantities": "names of at most 63 characters",
    "tieline.core.secret": "masks the end of one secret that an operator gave",
    "tieline.dataplane.admission.admit": "the first word of a path",
    "tieline.dataplane.admission.fields": "a tag of at most 64 characters",
    "tieline.dataplane.admission.words": "one look for the end of the first word and for the query",
    "tieline.dataplane.attempt.target": "joins what core.urls and access.paths read",
    "tieline.dataplane.doors.relay": "one look for the query",
    "tieline.definitions.infer.page_samples": "two pages that an operator asked for, read by the rows of answers",
    "tieline.definitions.infer.pagination": "names of members, by the rows of pages",
    "tieline.definitions.infer.schema": "a schema that detect made, by the rows of answers",
    "tieline.web.api.usage": "dimensions, each once, in a query as long as a head may be; one cut of a field",
    "tieline.web.pages": "the document of the API, which is ours",
    "tieline.web.problems": "names of parameters, which are ours",
    "tieline.web.signin": "one cut of a field",
    "tieline.wire.repeat": "one look for the end of a head that was read before",
}
"""Modules that take apart nothing that grows with what outsiders send, and why."""


def takes_text_apart(path: Path) -> bool:
    """Whether a module calls what searches or splits a text."""
    calls = (node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
    return any(isinstance(call, ast.Attribute) and call.attr in TAKES_APART for call in calls)


def test_whatever_takes_text_apart_has_a_row() -> None:
    """A new parser is not forgotten: its module is reached by a row, or named with the reason why not."""
    reached = set[str]()
    for work, made in TABLE.values():
        given = made(40)
        reached |= effort(lambda work=work, given=given: work(given)).modules  # type: ignore[misc]
    paths = [path for room in ROOMS for path in (PRODUCT / room).rglob("*.py") if takes_text_apart(path)]
    found = {".".join(path.relative_to(PRODUCT.parent).with_suffix("").parts) for path in paths}
    assert found - reached == set(WITHOUT)
