"""Streams that a definition describes itself: spots, typed events, fields, ends, errors, and presets with changes."""

import json

import pytest

from tests.unit.dataplane.streams.reading import failure, read
from tieline.dataplane.answers.streams import Delta, Done, Event, StreamReader, encode, shape_of
from tieline.dataplane.answers.streams.items import MOST_VALUES
from tieline.definitions.model import Field, Spot, Stream, StreamEvent

WORDS = Stream(text=Spot("piece.words[].w", "say"), usage=Spot("cost"), done=Spot("$", "bye"), error=Spot("trouble"))


def sse(name: str, data: str) -> bytes:
    """One event."""
    return f"event: {name}\ndata: {data}\n\n".encode() if name else f"data: {data}\n\n".encode()


BYE = sse("bye", "{}")


def test_text_is_found_by_path_and_event() -> None:
    """Every item's, joined; other events of that path are none; what gives no text is handed out as it is."""
    said = '{"piece":{"words":[{"w":"a"},{"w":null},{},{"w":"b"},{"w":7}]}}'
    assert read(WORDS, sse("say", said), sse("note", '{"piece":{"words":[]}}'), BYE) == [
        Delta("ab"),
        Event("note", {"piece": {"words": []}}),
        Event("bye", {}),
        Done("ab"),
    ]


def test_an_end_that_is_due_and_does_not_come_is_an_error() -> None:
    """Named by data, by event, or by a field."""
    assert "before the event that marks its end" in failure(read(WORDS, sse("say", "{}")))[1]
    assert "'bye'" in failure(read(Stream(end="bye"), b"data: good\n\n"))[1]
    assert failure(read(Stream("ndjson", done=Spot("last")), b'{"last":false}\n{"last":""}\n'))


def test_a_field_can_mark_the_end() -> None:
    """The event that holds it is read, and nothing after it."""
    stream = Stream("ndjson", text=Spot("t"), done=Spot("last"))
    assert read(stream, b'{"t":"a","last":false}\n{"t":"b","last":true}\n{"t":"c"}\n') == [
        Delta("a"),
        Delta("b"),
        Done("ab"),
    ]


@pytest.mark.parametrize(
    ("stream", "data", "says"),
    [
        (WORDS, sse("say", '{"trouble":{"detail":"It broke"}}'), "It broke"),
        (WORDS, sse("say", '{"trouble":"It\\n  broke"}'), "It broke"),
        (WORDS, sse("say", '{"trouble":true}'), "did not say why"),
        (Stream(), sse("error", '{"message":"It broke","code":"e7"}'), "It broke (e7)"),
        (Stream(), sse("error", "It broke"), "It broke"),
        (Stream(text=Spot("$")), sse("error", "It broke"), "It broke"),
        (Stream(), sse("", '{"error":{"message":"It broke"}}'), "It broke"),
        (Stream(text=Spot("t")), sse("", '{"object":"error","message":"It broke","code":500}'), "It broke (500)"),
        (Stream(preset="openai_chat"), sse("", '{"object":"error","message":"It broke","code":500}'), "It broke (500)"),
        (
            Stream(preset="openai_chat"),
            sse("", '{"code":"InvalidParameter","message":"It broke"}'),
            "(InvalidParameter)",
        ),
        (Stream(preset="openai_chat"), sse("", '{"detail":"It broke"}'), "It broke"),
        (Stream("ndjson"), b'{"type":"error","message":"It broke"}\n', "It broke"),
    ],
)
def test_an_error_is_told_in_the_upstream_s_words(stream: Stream, data: bytes, says: str) -> None:
    """Where the definition says, or where it is customary."""
    code, words = failure(read(stream, data))
    assert code == "upstream_error"
    assert says in words


def test_an_error_s_words_are_bounded() -> None:
    """An upstream cannot fill our answers."""
    assert len(failure(read(Stream(), sse("error", "x" * 100_000)))[1]) < 700


def test_an_item_s_own_error_is_data() -> None:
    """A row of results may tell of one that failed."""
    row = {"id": 1, "error": "not found"}
    assert read(Stream("ndjson"), b'{"id":1,"error":"not found"}\n') == [Event(None, row), Done("")]


def test_declared_events_give_their_included_fields() -> None:
    """In their tree, under their names, parsed where they hold JSON; events of other names are counted as drift."""
    stream = Stream(
        text=Spot("t"),
        events=(
            StreamEvent("step", (Field("no", "integer"), Field("in.args", "json", name="args", parse=True))),
            StreamEvent("step", (Field("secret", "text", include=False), Field('"odd key"', "text"))),
            StreamEvent(None, (Field("t", "text"), Field("model", "text"))),
        ),
    )
    reader = StreamReader(shape_of(stream, unknown="drop"))
    found = reader.feed(sse("step", '{"no":1,"in":{"args":"[1, 2]"},"secret":"s","odd key":"o","new":1}'))
    found += reader.feed(sse("step", '{"no":null}') + sse("new", "{}") + sse("new", "{}"))
    found += reader.feed(sse("", '{"t":"a"}') + sse("", '{"t":"b","model":"m"}'))
    assert found == [
        Event("step", {"no": 1, "args": [1, 2], "odd key": "o"}),
        Delta("a"),
        Delta("b"),
        Event(None, {"model": "m"}),
    ]
    assert reader.drift == {"new": 2}


def test_what_is_not_declared_is_handed_out_too() -> None:
    """Events of other names as they come, and members that no field names."""
    stream = Stream(text=Spot("t"), events=(StreamEvent("step", (Field("no", "integer", name="number"),)),))
    data = sse("step", '{"no":1,"more":{"x":[2]}}') + sse("new", '{"a":1}') + sse("new", '{"t":"T","logprob":-0.5}')
    reader = StreamReader(stream)
    assert reader.feed(data) == [
        Event("step", {"number": 1, "more": {"x": [2]}}),
        Event("new", {"a": 1}),
        Delta("T"),
        Event("new", {"logprob": -0.5}),
    ]
    assert reader.drift == {"new": 1}


def test_what_stands_beside_the_text_is_handed_out_once_for_what_repeats() -> None:
    """Objects, lists, flags and ids where they are new; texts and numbers, which may be pieces, each time."""
    events = (
        {"id": "m1", "delta": {"text": "a", "thought": "."}, "sources": [1], "usage": {"n": 1}, "p": 0.5},
        {"id": "m1", "delta": {"text": "b", "thought": "."}, "sources": [1], "usage": {"n": 2}, "p": 0.5},
        {"id": "m1", "delta": {"text": "c"}, "sources": [1, 2], "usage": {"n": 3}, "p": 0.5},
    )
    data = b"".join(sse("", json.dumps(event)) for event in events)
    assert read(Stream(text=Spot("delta.text"), usage=Spot("usage")), data) == [
        Delta("a"),
        Event(None, {"p": 0.5, "id": "m1", "delta": {"thought": "."}, "sources": [1]}),
        Delta("b"),
        Event(None, {"p": 0.5, "delta": {"thought": "."}}),
        Delta("c"),
        Event(None, {"p": 0.5, "sources": [1, 2]}),
        Done("abc", {}, {"n": 3}),
    ]


@pytest.mark.parametrize("format", ["sse", "ndjson", "json_array", "json_concatenated"])
def test_halves_of_a_character_are_joined_across_deltas(format: str) -> None:
    """RFC 8259 section 8.2: a lone half is JSON; one that stays alone is handed on as it came."""
    pieces = ('{"t":"x\\ud83d"}', '{"note":"\\ud83d"}', '{"t":"\\ude00y"}', '{"t":"\\ude00"}', '{"t":"\\ud83d"}')
    framed = {
        "sse": "".join(f"data: {piece}\n\n" for piece in pieces),
        "json_array": f"[{','.join(pieces)}]",
    }
    data = framed.get(format, "\n".join(pieces)).encode()
    found = read(Stream(format, text=Spot("t")), data)
    assert found[:5] == [
        Delta("x"),
        Event(None, {"note": "\ud83d"}),
        Delta("\U0001f600y"),
        Delta("\ude00"),
        Delta("\ud83d"),
    ]
    assert encode(found[3]) == b'event: delta\ndata: {"text":"\\ude00"}\n\n'
    assert b'"text":"x\xf0\x9f\x98\x80y\\ude00\\ud83d"' in encode(found[-1])


def test_numbers_of_events_keep_their_digits() -> None:
    """As those of whole answers do."""
    found = read(Stream(), sse("", '{"big":18446744073709551616,"fine":0.1234567890123456789,"huge":1e400}'))
    assert b'{"big":18446744073709551616,"fine":0.1234567890123456789,"huge":1e400}' in encode(found[0])


def test_an_event_of_very_many_values_is_refused_before_it_is_read() -> None:
    """Reading it would keep others waiting; its text may be as long as an event."""
    assert failure(read(Stream(), sse("", f"[{'1,' * MOST_VALUES}1]")))[0] == "upstream_response_too_large"
    assert len(read(Stream(), sse("", json.dumps({"a": "x" * 5_000_000})))[0].fields["a"]) == 5_000_000


@pytest.mark.parametrize("begin", [b'{"a":1}\n{"a":2}\n', b'[{"a":1}]', b"<!doctype html><p>x</p>", b'{"a":1}'])
def test_a_stream_of_another_format_is_told(begin: bytes) -> None:
    """Lines of JSON that are called server-sent events are no empty stream."""
    assert failure(read(Stream(), begin))[0] == "upstream_protocol_error"


def test_text_that_is_declared_as_json_and_is_none_stays_text() -> None:
    """A field of another type than it was is handed out as it is."""
    stream = Stream(events=(StreamEvent(None, (Field("a", "json", parse=True), Field("b", "json", parse=True))),))
    assert read(stream, sse("", '{"a":"{","b":[1]}'))[0] == Event(None, {"a": "{", "b": [1]})


def test_drift_is_counted_for_a_hundred_names_at_most() -> None:
    """An upstream that invents names does not grow our memory."""
    reader = StreamReader(Stream(events=(StreamEvent("known"),)))
    for number in range(300):
        reader.feed(sse(f"name{number}", "{}"))
    assert len(reader.drift) == 100


def test_fields_of_the_whole_are_the_last_of_all_events() -> None:
    """They come with the end, beside those of a preset."""
    fields = (
        Field("model", "text"),
        Field("system_fingerprint", "text", name="print"),
        Field("id", "text", include=False),
    )
    data = sse("", '{"id":"1","model":"m","system_fingerprint":"p"}') + sse("", '{"model":null}') + b"data: [DONE]\n\n"
    assert read(Stream(), data, fields=fields)[-1] == Done("", {"model": "m", "print": "p"})
    assert read(Stream(preset="openai_chat"), data, fields=fields) == [
        Done("", {"id": "1", "model": "m", "print": "p"})
    ]


@pytest.mark.parametrize(
    ("told", "normal"),
    [
        ('{"prompt_tokens":3,"completion_tokens":2}', {"input": 3, "output": 2}),
        (
            '{"prompt_tokens":12,"completion_tokens":7,"completion_tokens_details":{"reasoning_tokens":340},"total_tokens":359}',
            {"input": 12, "output": 347, "reasoning": 340},
        ),
        (
            '{"prompt_tokens":12,"completion_tokens":7,"reasoning_tokens":340,"total_tokens":359}',
            {"input": 12, "output": 347, "reasoning": 340},
        ),
        (
            (
                '{"prompt_tokens":12,"completion_tokens":347,"completion_tokens_details":{"reasoning_tokens":340},'
                '"total_tokens":359}'
            ),
            {"input": 12, "output": 347, "reasoning": 340},
        ),
        ('{"output_tokens":2}', {"input": 0, "output": 2}),
        ('{"input_tokens":-3,"output_tokens":"many"}', {"input_tokens": -3, "output_tokens": "many"}),
        ('{"input_tokens":-3,"output_tokens":2}', {"output": 2}),
        ('{"units":3}', {"units": 3}),
        ("{}", None),
        ("3", None),
    ],
)
def test_usage_is_told_in_one_set_of_words(told: str, normal: dict[str, int] | None) -> None:
    """Where the provider's words are known; else as it came."""
    assert read(Stream(usage=Spot("u")), sse("", f'{{"u":{told}}}'))[-1].usage == normal


def test_usage_that_grows_is_the_last() -> None:
    """Providers count up; a later event that says nothing takes nothing back."""
    data = b'{"u":{"input_tokens":3,"output_tokens":1}}\n{"u":{"input_tokens":null,"output_tokens":9}}\n'
    assert read(Stream("ndjson", usage=Spot("u")), data)[-1].usage == {"input": 3, "output": 9}


def test_a_preset_can_be_changed_in_part() -> None:
    """What a definition says of its own replaces what the preset says."""
    stream = Stream(preset="openai_chat", text=Spot("choices[0].delta.reasoning_content"), end="over")
    data = sse("", '{"choices":[{"index":0,"delta":{"reasoning_content":"Hm","content":"x"}}]}') + sse("", "over")
    assert read(stream, data)[0] == Delta("Hm")
    assert read(stream, data)[-1] == Done("Hm")


def test_a_preset_reads_nothing_but_json() -> None:
    """Plain text is malformed there, where it would be an event elsewhere."""
    assert "not JSON" in failure(read(Stream(preset="openai_chat"), b"data: hello\n\n"))[1]
    assert read(Stream(), b"data: hello\n\n") == [Event(None, {"data": "hello"}), Done("")]


def test_a_reader_tells_what_there_was_when_its_caller_leaves() -> None:
    """Text and usage so far, without an end."""
    reader = StreamReader(shape_of(Stream(text=Spot("t"), usage=Spot("u"))))
    reader.feed(sse("", '{"t":"a","u":{"prompt_tokens":4}}') + b"data: {")
    assert (reader.text, reader.usage, reader.ended) == ("a", {"input": 4, "output": 0}, False)
