"""Detection holds for any JSON: it never fails, stays in bounds, and its parts agree with each other."""

import json
from contextlib import suppress
from typing import Any, get_args

from hypothesis import example, given
from hypothesis import strategies as st

from tieline.definitions.infer import embedded, paths
from tieline.definitions.infer.answers import read_answer
from tieline.definitions.infer.detect import Source, detect, merge, renew
from tieline.definitions.infer.difference import diff
from tieline.definitions.infer.drift import drift
from tieline.definitions.infer.markup import read_xml
from tieline.definitions.infer.samples import keep, masked
from tieline.definitions.infer.schema import schema_of_fields
from tieline.definitions.infer.settle import MOST_FIELDS
from tieline.definitions.infer.shape import shape
from tieline.definitions.infer.table import read_csv
from tieline.definitions.infer.unreadable import UnreadableAnswer
from tieline.definitions.model import Field
from tieline.definitions.parse import parse_data

KEYS = st.one_of(
    st.sampled_from(["id", "name", "created_at", "url", "image", "a", "b", "tags", "1", "2024-01-01", "a.b", "$", ""]),
    st.text(max_size=5),
)
TEXTS = st.one_of(
    st.sampled_from(
        ["", "2024-01-01", "2024-01-01T10:00:00Z", "https://a.example/b.png", "a@b.example", "PT5S", "1.5", "true"]
    ),
    st.text(max_size=12),
)
PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([1700000000, 0, 1]),
    st.floats(allow_nan=False, allow_infinity=False),
    TEXTS,
)


def grown(leaves: st.SearchStrategy[Any], keys: st.SearchStrategy[str] = KEYS) -> st.SearchStrategy[Any]:
    """Documents with these leaves."""
    return st.recursive(
        leaves,
        lambda below: st.one_of(
            st.lists(below, max_size=4),
            st.dictionaries(keys, below, max_size=5),
            st.dictionaries(keys, below, max_size=3).map(json.dumps),
        ),
        max_leaves=25,
    )


def types(fields: tuple[Field, ...]) -> dict[str, tuple[str, bool]]:
    """Type and list by path."""
    return {one.path: (one.type, one.list) for one in fields}


def unfolded(value: Any) -> Any:
    """A document with the JSON in its texts read, at any depth."""
    held = embedded.embedded(value) if isinstance(value, str) else None
    if held is not None:
        return unfolded(held)
    if isinstance(value, dict):
        return {name: unfolded(below) for name, below in value.items()}
    return [unfolded(item) for item in value] if isinstance(value, list) else value


@given(grown(PLAIN | st.floats()) | st.lists(st.binary(max_size=3)))
def test_nothing_makes_detection_fail(document: Any) -> None:
    """Whatever a document holds, every step gives an answer."""
    fields = detect(document)
    for source in get_args(Source):
        found = detect(document, source=source)
        assert len(found) <= MOST_FIELDS
    assert len({one.path for one in fields}) == len(fields)
    shape(document, fields)
    drift(document, fields)
    schema_of_fields(fields)
    diff(fields, renew(fields, document))
    assert all(one.sample is None or len(str(one.sample)) <= 220 for one in fields)


@given(grown(PLAIN))
def test_fields_can_be_written_into_a_definition(document: Any) -> None:
    """Every detected field is one that the format takes, and comes back as it was."""
    fields = keep(detect(document), "none")
    written = [
        {"path": one.path, "type": one.type, "list": one.list, "parse": one.parse, "optional": one.optional}
        | ({"object": one.object} if one.object is not None else {})
        | {"undecided": one.undecided}
        for one in fields
    ]
    call = {"path": "/a", "response": {"type": "json", "fields": written}}
    definition = parse_data({"tieline": "v1", "api": "a", "base_url": "https://a.example", "calls": {"c": call}})
    assert definition.calls["c"].response.fields == fields
    assert all(paths.join(paths.split(one.path)) == one.path for one in fields)


@given(grown(PLAIN))
def test_the_shape_of_a_document_is_the_document(document: Any) -> None:
    """All fields included, shaping loses nothing and adds nothing; JSON in text may be read."""
    assert unfolded(shape(document, detect(document))) == unfolded(document)


@given(grown(PLAIN))
def test_a_document_does_not_drift_from_its_own_fields(document: Any) -> None:
    """What a document shows is no difference to what it showed."""
    assert drift(document, detect(document)) == ()


@given(grown(PLAIN))
def test_the_same_sample_twice_changes_no_type(document: Any) -> None:
    """Merging is idempotent."""
    fields = detect(document)
    assert types(merge(fields, document)) == types(fields)


@given(grown(PLAIN), grown(PLAIN))
@example({"1": 2}, {"a": 1})
@example({}, "x")
@example("", {"a": 1})
def test_the_order_of_two_samples_does_not_matter(one: Any, other: Any) -> None:
    """Together always; one after the other where no map is among them, of which fields remember less."""
    assert types(detect(one, other)) == types(detect(other, one))
    found = types(merge(detect(one), other)), types(merge(detect(other), one))
    assert found[0] == found[1] or any(kind == "map" for each in found for kind, _ in each.values())


OBJECTS = st.dictionaries(st.sampled_from("abcdef"), grown(PLAIN), min_size=1, max_size=4)


@given(OBJECTS, OBJECTS)
def test_neither_of_two_merged_samples_drifts(one: Any, other: Any) -> None:
    """Fields of both describe each."""
    fields = merge(detect(one), other)
    assert [each for each in (*drift(one, fields), *drift(other, fields)) if each.kind != "missing"] == []


@given(OBJECTS, OBJECTS, st.data())
def test_what_people_decided_survives(one: Any, other: Any, data: st.DataObject) -> None:
    """A pinned field stays as it is and an excluded one excluded, by merging and by initializing again."""
    fields = detect(one)
    pinned = data.draw(st.sampled_from(fields))
    fields = tuple(
        Field(each.path, "text", pinned=True) if each is pinned else Field(**{**asdict(each), "include": False})
        for each in fields
    )
    for result in (merge(fields, other), renew(fields, other)):
        kept = {each.path: each for each in result}
        assert kept[pinned.path] == Field(pinned.path, "text", pinned=True)
        closed = [each for each in fields if each.path != pinned.path and each.path not in kept]
        assert all(each.path.startswith(pinned.path) for each in closed)
        assert not [each for each in fields if each.path in kept and not each.include and kept[each.path].include]


def asdict(one: Field) -> dict[str, Any]:
    """A field's keys and values."""
    return {name: getattr(one, name) for name in Field.__slots__}


@given(st.one_of(st.text(), st.integers(), st.floats(), st.booleans(), st.lists(st.text())))
def test_a_masked_sample_tells_its_type_only(sample: Any) -> None:
    """Masked text is x and nothing else; the JSON type stays."""
    found = masked(sample)
    assert type(found) is type(sample)
    assert not isinstance(found, str) or (set(found) <= {"x"} and bool(found) == bool(sample))


@given(st.text() | st.text(alphabet="<>/ab=\"'&;![]?- \n"))
def test_any_text_is_xml_or_refused(text: str) -> None:
    """Nothing but ``UnreadableAnswer`` comes out."""
    with suppress(UnreadableAnswer):
        assert isinstance(read_xml(f"<a>{text}</a>"), dict)
    for kind in ("json", "number", "boolean", "xml"):
        with suppress(UnreadableAnswer):
            read_answer(kind, text)


@given(st.text(alphabet='a,;\t|"\n\r1 é') | st.text())
def test_any_text_is_csv_or_refused(text: str) -> None:
    """Rows come out as objects, and nothing but ``UnreadableAnswer`` is raised."""
    try:
        rows = read_csv(text)
    except UnreadableAnswer:
        return
    assert all(isinstance(row, dict) for row in rows)
    detect(rows, source="csv")
