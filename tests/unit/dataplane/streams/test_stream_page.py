"""docs/streams.md against the product, and what a definition may say of a stream."""

import re
from pathlib import Path

import pytest

from tieline.dataplane.answers.streams import items, reader
from tieline.dataplane.answers.streams.presets import PRESETS
from tieline.definitions.model import Spot, Stream
from tieline.definitions.parse import parse, to_yaml
from tieline.definitions.problems import DefinitionError
from tieline.definitions.responses import STREAM_FORMATS

PAGE = (Path(__file__).parents[4] / "docs/streams.md").read_text(encoding="utf-8")
MINIMAL = "tieline: v1\napi: a\nbase_url: https://a.example\n"
FRAMINGS = {"SSE": "sse", "SSE (`alt=sse`)": "sse", "JSON array": "json_array", "NDJSON": "ndjson"}


def rows(heading: str) -> list[list[str]]:
    """The rows of the table below a heading."""
    section = PAGE.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def stream_of(text: str) -> Stream | None:
    """The stream of the only call of a definition."""
    (call,) = parse(text).calls.values()
    return call.response.stream


def test_the_page_has_every_preset_as_it_is() -> None:
    """Its name, its framing, and the fields of its end."""
    told = {row[0].strip("`"): (FRAMINGS[row[1]], re.findall(r"`(\w+)`", row[4])) for row in rows("Presets")}
    told["gemini_array"] = (told["gemini_array"][0], told["gemini"][1])
    assert told == {name: (preset.format, list(preset.kept)) for name, preset in PRESETS.items()}


def test_the_page_has_every_format() -> None:
    """In the words of definitions, and each has a decoder but plain text."""
    assert tuple(row[0].strip("`") for row in rows("Any other stream")[1:]) == STREAM_FORMATS
    assert [reader.decoder_of(each) is None for each in STREAM_FORMATS] == [False, False, False, False, True]


def test_the_page_has_the_limits() -> None:
    """As the program has them."""
    assert f"| one event | {items.MOST_EVENT // 1024**2} MiB |" in PAGE
    assert f"| values in it (commas and brackets) | {items.MOST_VALUES:,} |" in PAGE
    assert f"| nesting of its JSON | {items.MOST_DEPTH} levels |" in PAGE
    assert f"| whole text in `done` | {items.MOST_TEXT // 1024**2} MiB |" in PAGE


@pytest.mark.parametrize("text", re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))
def test_every_example_on_the_page_is_read_and_written(text: str) -> None:
    """Its stream is one that a reader can be made of, before and after it was exported."""
    definition = parse(text if text.startswith("tieline:") else MINIMAL + text)
    assert parse(to_yaml(definition)) == definition
    stream = stream_of(to_yaml(definition))
    assert stream is not None
    assert not reader.StreamReader(stream).ended


def test_a_preset_brings_its_format() -> None:
    """Both at once are refused; the other keys go with it."""
    call = MINIMAL + "calls: {c: {path: /a, response: {type: stream, stream: {preset: ollama, %s}}}}\n"
    assert stream_of(call % "text: {path: message.thinking}, error: {path: e}, done: {path: d, event: f}") == Stream(
        preset="ollama", text=Spot("message.thinking"), error=Spot("e"), done=Spot("d", "f")
    )
    with pytest.raises(DefinitionError, match="comes with the preset"):
        parse(call % "format: ndjson")
