"""The streams of five providers: the same typed items however they are cut, and an error where they end too soon."""

import json
from typing import Any

import pytest

from tests.unit.dataplane.streams.reading import RECORDINGS, failure, one_by_one, read, read_all, recording
from tieline.dataplane.answers.streams import Delta, Done, Event, detect
from tieline.dataplane.answers.streams.presets import PRESETS
from tieline.definitions.model import Stream
from tieline.definitions.responses import STREAM_PRESETS

CALL = {"name": "oven", "args": {"degrees": 180}}
OVEN = {"id": "toolu_made_up", "name": "oven", "input": {}, "type": "tool_use"}
EXPECTED: dict[str, tuple[str, list[Any]]] = {
    "openai_chat": (
        "openai_chat.sse",
        [
            Delta("Crème"),
            Delta(" brûlée 🍮"),
            Delta(',\n"said" she.'),
            Event(
                None,
                {
                    "tool_calls": [
                        {
                            "index": 0,
                            "id": "call_made_up",
                            "type": "function",
                            "function": {"name": "oven", "arguments": ""},
                        }
                    ]
                },
            ),
            Event(None, {"tool_calls": [{"index": 0, "function": {"arguments": '{"degrees":'}}]}),
            Event(None, {"finish_reason": "stop"}),
            Done(
                'Crème brûlée 🍮,\n"said" she.',
                {"id": "chatcmpl-made-up", "model": "gpt-made-up", "finish_reason": "stop"},
                {"input": 12, "output": 7, "cached_input": 4, "reasoning": 2},
            ),
        ],
    ),
    "openai_responses": (
        "openai_responses.sse",
        [
            Event(
                "response.output_item.added",
                {
                    "type": "response.output_item.added",
                    "sequence_number": 2,
                    "output_index": 0,
                    "item": {
                        "id": "msg_made_up",
                        "type": "message",
                        "status": "in_progress",
                        "role": "assistant",
                        "content": [],
                    },
                },
            ),
            Delta("Grüße"),
            Delta(" aus 東京"),
            Event(
                "response.function_call_arguments.delta",
                {
                    "type": "response.function_call_arguments.delta",
                    "sequence_number": 8,
                    "item_id": "fc_made_up",
                    "output_index": 1,
                    "delta": "{}",
                },
            ),
            Done(
                "Grüße aus 東京",
                {"id": "resp_made_up", "model": "gpt-made-up", "status": "completed"},
                {"input": 9, "output": 5, "cached_input": 3, "reasoning": 1},
            ),
        ],
    ),
    "anthropic_messages": (
        "anthropic_messages.sse",
        [
            Delta("Olá"),
            Delta(", mundo 🌍"),
            Event("content_block_start", {"index": 1, "content_block": OVEN}),
            Event(
                "content_block_delta",
                {"index": 1, "delta": {"type": "input_json_delta", "partial_json": '{"degrees": 18'}},
            ),
            Event("message_delta", {"stop_reason": "tool_use"}),
            Done(
                "Olá, mundo 🌍",
                {"id": "msg_made_up", "model": "claude-made-up", "finish_reason": "tool_use"},
                {"input": 17, "output": 15, "cached_input": 5, "cache_write": 2},
            ),
        ],
    ),
    "ollama": (
        "ollama.ndjson",
        [
            Event(None, {"thinking": "Hm."}),
            Delta("Het"),
            Delta(" was één dag"),
            Event(None, {"tool_calls": [{"function": {"name": "oven", "arguments": {"degrees": 180}}}]}),
            Done("Het was één dag", {"model": "llama-made-up", "finish_reason": "stop"}, {"input": 11, "output": 6}),
        ],
    ),
    "ollama_generate": (
        "ollama_generate.ndjson",
        [
            Delta("Det"),
            Delta(" är så"),
            Done("Det är så", {"model": "llama-made-up", "finish_reason": "stop"}, {"input": 11, "output": 6}),
        ],
    ),
}
GEMINI = [
    Event(None, {"parts": [{"text": "Let me think.", "thought": True}]}),
    Delta("Ça"),
    Delta(" va [bien] {ou}?\\"),
    Event(None, {"parts": [{"functionCall": CALL}]}),
    Done(
        "Ça va [bien] {ou}?\\",
        {"id": "made-up-1", "model": "gemini-made-up", "finish_reason": "STOP"},
        {"input": 8, "output": 9, "reasoning": 3},
    ),
]
EXPECTED["gemini"] = ("gemini.sse", GEMINI)
EXPECTED["gemini_array"] = ("gemini_array.json", GEMINI)
CASES = [pytest.param(name, recording(file), items, id=name) for name, (file, items) in EXPECTED.items()]
SSE = [case for case, (file, _) in zip(CASES, EXPECTED.values(), strict=True) if file.endswith(".sse")]


def test_every_preset_has_a_recording_and_a_name_in_definitions() -> None:
    """What can be written in a definition is what there is, and none goes untested."""
    assert set(EXPECTED) == set(PRESETS) == set(STREAM_PRESETS)
    assert {file for file, _ in EXPECTED.values()} == {path.name for path in RECORDINGS.iterdir()}


@pytest.mark.parametrize(("preset", "data", "expected"), CASES)
def test_a_recording_gives_its_items(preset: str, data: bytes, expected: list[Any]) -> None:
    """Text deltas, events, fields and usage, as written by hand."""
    assert read(Stream(preset=preset), data) == expected


@pytest.mark.parametrize(("preset", "data", "expected"), CASES)
def test_a_cut_at_any_byte_changes_nothing(preset: str, data: bytes, expected: list[Any]) -> None:
    """Within characters, escapes, line ends and names too."""
    for place in range(len(data) + 1):
        assert read(Stream(preset=preset), data[:place], data[place:]) == expected, place


@pytest.mark.parametrize(("preset", "data", "expected"), CASES)
def test_one_byte_at_a_time_changes_nothing(preset: str, data: bytes, expected: list[Any]) -> None:
    """The finest cut there is."""
    assert read_all(Stream(preset=preset), one_by_one(data)) == expected


@pytest.mark.parametrize("end", [b"\r\n", b"\r"], ids=["CRLF", "CR"])
@pytest.mark.parametrize(("preset", "data", "expected"), SSE)
def test_line_ends_change_nothing(preset: str, data: bytes, expected: list[Any], end: bytes) -> None:
    """Every line end that WHATWG allows, at every cut, with a byte order mark in front."""
    data = b"\xef\xbb\xbf" + data.replace(b"\n", end)
    for place in range(0, len(data) + 1, 3):
        assert read(Stream(preset=preset), data[:place], data[place:]) == expected, place
    assert read_all(Stream(preset=preset), one_by_one(data)) == expected


@pytest.mark.parametrize(("preset", "data", "expected"), CASES)
def test_a_stream_that_ends_too_soon_is_an_error(preset: str, data: bytes, expected: list[Any]) -> None:
    """Wherever it ends: what came before stands, and the last item says that it is not whole."""
    ends = {"openai_chat": len(data) - 2, "gemini": len(data) - 1, "gemini_array": len(data) - 1}
    for place in range(ends.get(preset, len(data) - 1)):
        *found, last = read(Stream(preset=preset), data[:place])
        assert found == expected[: len(found)]
        assert last[1] == "upstream_protocol_error", place


@pytest.mark.parametrize(("preset", "data", "expected"), CASES)
def test_a_preset_is_recognised_by_its_first_events(preset: str, data: bytes, expected: list[Any]) -> None:
    """From the whole, and from its first half, wherever that ends."""
    assert detect(data) == Stream(preset=preset)
    assert {detect(data[:place]).preset for place in range(len(data) // 2, len(data), 7)} == {preset}


@pytest.mark.parametrize(
    ("preset", "data", "says"),
    [
        ("openai_chat", b'data: {"error":{"message":"Too busy","type":"server_error","code":null}}\n\n', "Too busy"),
        (
            "openai_responses",
            b'event: error\ndata: {"type":"error","code":"server_error","message":"Too busy"}\n\n',
            "(server_error)",
        ),
        (
            "openai_responses",
            b'event: response.failed\ndata: {"response":{"error":{"code":"broken","message":"Too busy"}}}\n\n',
            "Too busy (broken)",
        ),
        (
            "anthropic_messages",
            b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n',
            "Overloaded (overloaded_error)",
        ),
        ("gemini", b'data: {"error":{"code":503,"message":"Too busy","status":"UNAVAILABLE"}}\n\n', "(UNAVAILABLE)"),
        ("gemini_array", b'[{"error":{"code":503,"message":"Too busy","status":"UNAVAILABLE"}}', "Too busy"),
        ("ollama", b'{"error":"model runner has stopped"}\n', "model runner has stopped"),
    ],
)
def test_an_error_in_mid_stream_ends_it(preset: str, data: bytes, says: str) -> None:
    """What the upstream says is told, and nothing that follows is read."""
    code, words = failure(read(Stream(preset=preset), data, data))
    assert code == "upstream_error"
    assert says in words


def test_what_was_used_before_an_error_is_told() -> None:
    """A stream that fails has cost something."""
    start = recording("anthropic_messages.sse").split(b"\n\n")[0] + b"\n\n"
    found = read(Stream(preset="anthropic_messages"), start, b"event: error\ndata: {}\n\n")
    assert found[-1][3] == {"input": 17, "output": 1, "cached_input": 5, "cache_write": 2}


def test_only_the_first_choice_is_the_text() -> None:
    """Of several choices the others are events with their index."""
    events = (
        b'data: {"choices":[{"index":1,"delta":{"content":"B"}}]}\n\n'
        b'data: {"choices":[{"index":0,"delta":{"content":"A"},"finish_reason":"stop"}]}\n\n'
        b"data: [DONE]\n\n"
    )
    assert read(Stream(preset="openai_chat"), events) == [
        Event(None, {"index": 1, "content": "B"}),
        Delta("A"),
        Event(None, {"finish_reason": "stop"}),
        Done("A", {"finish_reason": "stop"}),
    ]


def test_a_blocked_prompt_is_an_answer_of_gemini() -> None:
    """It has no candidate, and is whole all the same."""
    found = read(Stream(preset="gemini"), b'data: {"promptFeedback":{"blockReason":"SAFETY"}}\n\n')
    assert found == [Done("", {"block_reason": "SAFETY"})]


@pytest.mark.parametrize(
    "value",
    [
        b"0",
        b'"a"',
        b"null",
        b"[]",
        b"{}",
        b'{"choices":5}',
        b'{"choices":[5,{"delta":7}]}',
        b'{"candidates":{}}',
        b'{"candidates":[{"content":{"parts":[1]}}]}',
        b'{"message":3}',
        b'{"type":7,"delta":[],"usage":1,"response":2}',
    ],
)
@pytest.mark.parametrize("preset", STREAM_PRESETS)
def test_events_of_another_shape_do_no_harm(preset: str, value: bytes) -> None:
    """No preset relies on the shape of what it reads."""
    names = (b"", b"event: content_block_delta\n", b"event: response.output_text.delta\n", b"event: message_delta\n")
    framed = {
        "sse": b"".join(name + b"data: " + value + b"\n\n" for name in names),
        "ndjson": value + b"\n",
        "json_array": b"[" + value + b"]",
    }
    assert read(Stream(preset=preset), framed[PRESETS[preset].format])


def chat(*chunks: str) -> list[Any]:
    """What the preset of chat completions makes of these chunks and the end mark."""
    return read(Stream(preset="openai_chat"), *(f"data: {each}\n\n".encode() for each in (*chunks, "[DONE]")))[:-1]


def test_content_in_parts_is_text() -> None:
    """Mistral sends parts; what is no text among them is handed out."""
    assert chat('{"choices":[{"index":0,"delta":{"content":[{"type":"text","text":"2 + 2 = 4"}]}}]}') == [
        Delta("2 + 2 = 4")
    ]
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}
    assert chat(json.dumps({"choices": [{"index": 0, "delta": {"content": [thought]}}]})) == [
        Event(None, {"content": [thought]})
    ]


def test_what_services_add_to_chat_completions_is_handed_out() -> None:
    """Citations (Perplexity) once, log probabilities with each delta, filter results (Azure), a service's own usage."""
    said = {"index": 0, "delta": {"content": "a"}}
    chosen = {"index": 0, "delta": {"content": "b"}, "logprobs": {"content": [{"token": "b"}]}}
    filtered = {"index": 0, "delta": {}, "content_filter_results": {"hate": {"filtered": False}}}
    chunks = [
        {"choices": [], "prompt_filter_results": [{"prompt_index": 0}]},
        {"choices": [said], "citations": ["https://a.example"]},
        {"choices": [said], "citations": ["https://a.example"]},
        {"choices": [chosen], "citations": ["https://a.example"]},
        {"choices": [chosen]},
        {"choices": [filtered], "x_groq": {"usage": {"queue_time": 0.1}}},
    ]
    assert chat(*map(json.dumps, chunks)) == [
        Event(None, {"prompt_filter_results": [{"prompt_index": 0}]}),
        Delta("a"),
        Event(None, {"citations": ["https://a.example"]}),
        Delta("a"),
        Delta("b"),
        Event(None, {"logprobs": {"content": [{"token": "b"}]}}),
        Delta("b"),
        Event(None, {"logprobs": {"content": [{"token": "b"}]}}),
        Event(
            None, {"content_filter_results": {"hate": {"filtered": False}}, "x_groq": {"usage": {"queue_time": 0.1}}}
        ),
    ]


def test_what_other_providers_send_beside_the_text_is_handed_out() -> None:
    """Whatever their presets do not know by name."""
    rated = '{"content":{"parts":[{"text":"a"}]},"safetyRatings":[{"probability":"LOW"}]}'
    gemini = f'data: {{"candidates":[{rated},{{"index":1}}]}}\n\n'.encode()
    assert read(Stream(preset="gemini"), gemini, gemini)[:4] == [
        Delta("a"),
        Event(None, {"candidates": [{"index": 1}], "safetyRatings": [{"probability": "LOW"}]}),
        Delta("a"),
        Event(None, {"candidates": [{"index": 1}]}),
    ]
    spoken = (
        b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","delta":"a","logprobs":[1]}\n\n'
    )
    assert read(Stream(preset="openai_responses"), spoken)[:2] == [
        Delta("a"),
        Event("response.output_text.delta", {"logprobs": [1]}),
    ]
    ended = (
        b'event: message_delta\ndata: {"type":"message_delta","delta":{},"usage":{},"context_management":{"a":1}}\n\n'
    )
    assert read(Stream(preset="anthropic_messages"), ended)[0] == Event(
        "message_delta", {"context_management": {"a": 1}}
    )
    line = b'{"model":"m","message":{"role":"assistant","content":"a"},"done":false,"logprobs":[1]}\n'
    assert read(Stream(preset="ollama"), line)[:2] == [Delta("a"), Event(None, {"logprobs": [1]})]


def test_a_message_that_is_repeated_whole_in_each_event_is_not() -> None:
    """Perplexity sends it beside the delta; it would grow with the square of the text."""
    chunk = {"index": 0, "delta": {"content": "a"}, "message": {"role": "assistant", "content": "a" * 1000}}
    assert chat(json.dumps({"choices": [chunk]})) == [Delta("a")]


def test_thoughts_are_events_by_whatever_name_they_come() -> None:
    """``reasoning_content`` and ``reasoning``; the same piece twice is two; ``data:`` needs no blank."""
    events = [{"choices": [{"index": 0, "delta": {name: "Hm"}}]} for name in ("reasoning", "reasoning_content")]
    data = "".join(f"data:{json.dumps(event)}\n\n" for event in (*events, events[1])) + "data:[DONE]\n\n"
    assert read(Stream(preset="openai_chat"), data.encode())[:-1] == [
        Event(None, {"reasoning": "Hm"}),
        Event(None, {"reasoning_content": "Hm"}),
        Event(None, {"reasoning_content": "Hm"}),
    ]
