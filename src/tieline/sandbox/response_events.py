"""The events of a streamed response, in OpenAI's order and with sequence numbers. Knows neither requests nor stores."""

from collections.abc import Iterator
from typing import Any

from tieline.sandbox.assistant import Reply
from tieline.sandbox.streams import event
from tieline.sandbox.words import pieces


def events(whole: dict[str, Any], reply: Reply, *, after: int = -1) -> Iterator[bytes]:
    """Every event of the response that is numbered above ``after``, encoded."""
    for number, data in enumerate(_sequence(whole, reply)):
        if number > after:
            yield event({**data, "sequence_number": number}, named=True)


def noted_events(whole: dict[str, Any], reply: Reply) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Every event, and what the ledger notes once it was sent."""
    for number, data in enumerate(_sequence(whole, reply)):
        text = data["delta"] if data["type"].endswith(".delta") else ""
        told = "usage" in data.get("response", {})
        yield event({**data, "sequence_number": number}, named=True), {"text": text, "told": told}


def _sequence(whole: dict[str, Any], reply: Reply) -> Iterator[dict[str, Any]]:
    begun = {key: value for key, value in whole.items() if key != "usage"}
    begun.update(status="in_progress", output=[], completed_at=None, incomplete_details=None)
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    for index, item in enumerate(whole["output"]):
        if item["type"] == "message":
            yield from _message(item, index, reply)
        else:
            yield from _call(item, index)
    ending = "response.incomplete" if whole["status"] == "incomplete" else "response.completed"
    yield {"type": ending, "response": whole}


def _message(item: dict[str, Any], index: int, reply: Reply) -> Iterator[dict[str, Any]]:
    place = {"item_id": item["id"], "output_index": index, "content_index": 0}
    part = item["content"][0]
    opened = {**item, "status": "in_progress", "content": []}
    yield {"type": "response.output_item.added", "output_index": index, "item": opened}
    yield {"type": "response.content_part.added", **place, "part": {**part, "text": ""}}
    for token in reply.tokens:
        yield {"type": "response.output_text.delta", **place, "delta": token, "logprobs": []}
    yield {"type": "response.output_text.done", **place, "text": part["text"], "logprobs": []}
    yield {"type": "response.content_part.done", **place, "part": part}
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


def _call(item: dict[str, Any], index: int) -> Iterator[dict[str, Any]]:
    place = {"item_id": item["id"], "output_index": index}
    custom = item["type"] == "custom_tool_call"
    given = "input" if custom else "arguments"
    word = "response.custom_tool_call_input" if custom else "response.function_call_arguments"
    yield {
        "type": "response.output_item.added",
        "output_index": index,
        "item": {**item, given: "", "status": "in_progress"},
    }
    for piece in pieces(item[given]):
        yield {"type": word + ".delta", **place, "delta": piece}
    name = {} if custom else {"name": item["name"]}
    yield {"type": word + ".done", **place, **name, given: item[given]}
    yield {"type": "response.output_item.done", "output_index": index, "item": item}
