"""Parameters as people write them on the command line, and the form they become."""

import email.message
import email.parser
import email.policy
import json
from pathlib import Path
from typing import Any

import pytest

from tieline.cli.arguments import CallArgument, MultipartForm, as_json, read_arguments
from tieline.core.errors import SettingsError
from tieline.definitions.model import Call
from tieline.definitions.parse import parse_data

PARAMETERS = {
    "text": {"type": "text"},
    "count": {"type": "integer"},
    "flag": {"type": "boolean"},
    "tags": {"type": "list"},
    "any": {"type": "json"},
    "picture": {"type": "file"},
}


@pytest.fixture
def call() -> Call:
    """A call with a parameter of each kind."""
    body = {"type": "multipart", "fields": [{"name": name, "value": f"<{name}>"} for name in PARAMETERS]}
    calls = {"send": {"method": "POST", "path": "/x", "parameters": PARAMETERS, "body": body}}
    return parse_data({"tieline": "v1", "api": "x", "base_url": "https://x.example", "calls": calls}).calls["send"]


def parts(form: MultipartForm) -> dict[str, tuple[str | None, bytes]]:
    """File name and content by field, read by the standard library's own reader of MIME."""
    content = b"".join(form)
    assert len(content) == form.length
    parser = email.parser.BytesParser(policy=email.policy.HTTP)
    message = parser.parsebytes(f"Content-Type: {form.content_type}\r\n\r\n".encode() + content)
    found: dict[str, tuple[str | None, bytes]] = {}
    for part in message.iter_parts():
        assert isinstance(part, email.message.EmailMessage)
        payload = part.get_payload(decode=True)
        assert isinstance(payload, bytes)
        found[part.get_param("name", header="content-disposition")] = (part.get_filename(), payload)  # type: ignore[index]
    return found


@pytest.mark.parametrize(
    ("word", "given"),
    [
        ("prompt=Hello, world", CallArgument("prompt", "Hello, world")),
        ("prompt=a=b", CallArgument("prompt", "a=b")),
        ("prompt=", CallArgument("prompt", "")),
        ('any:={"a": [1, null]}', CallArgument("any", value={"a": [1, None]}, is_json=True)),
        ('text:="@home"', CallArgument("text", value="@home", is_json=True)),
        ("any:=null", CallArgument("any", value=None, is_json=True)),
    ],
)
def test_a_parameter_is_text_or_json(word: str, given: CallArgument) -> None:
    """What follows the first equals sign, as it stands; after ``:=`` it is JSON."""
    assert read_arguments([word]) == [given]


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("prompt", "NAME=VALUE"),
        ("=x", "NAME=VALUE"),
        ("a b=x", "NAME=VALUE"),
        ('a"; filename="x=1', "NAME=VALUE"),
        ("any:={", "no JSON"),
        ("any:=" + "[" * 100_000, "no JSON"),
        ("file=@/no/such/file", "names no file"),
    ],
)
def test_what_is_no_parameter_is_refused(word: str, told: str) -> None:
    """In one line that repeats no value."""
    with pytest.raises(SettingsError, match=told):
        read_arguments([word])


def test_a_form_holds_texts_as_they_are_and_files_last(call: Call, tmp_path: Path) -> None:
    """A file for a file parameter keeps its name; for another parameter what is in it is the text."""
    note, picture = tmp_path / "note.txt", tmp_path / 'a "b".png'
    note.write_text("from a file\n")
    picture.write_bytes(b"\x89PNG\r\n--not the end\r\n")
    words = [f"picture=@{picture}", f"text=@{note}", "count=5", "any:=[1, 2]", 'tags:=["é"]']
    found = parts(MultipartForm(call, read_arguments(words)))
    assert list(found)[-1] == "picture"
    assert found["picture"] == ("a %22b%22.png", picture.read_bytes())
    assert found["text"] == (None, b"from a file\n")
    assert (found["count"][1], found["any"][1], json.loads(found["tags"][1])) == (b"5", b"[1, 2]", ["é"])


def test_without_a_definition_what_is_given_as_a_file_is_one(tmp_path: Path) -> None:
    """Nobody can say otherwise."""
    note = tmp_path / "note.txt"
    note.write_text("x")
    assert parts(MultipartForm(None, read_arguments([f"text=@{note}"])))["text"] == ("note.txt", b"x")


def test_a_trial_has_values_of_their_types(call: Call, tmp_path: Path) -> None:
    """By the definition's types; files in base64."""
    picture = tmp_path / "p.png"
    picture.write_bytes(b"\x89PNG")
    words = ["text=5", "count=5", "flag=true", "tags=a", "tags=b", 'any:={"a": 1}', f"picture=@{picture}"]
    values, files = as_json(call, read_arguments(words))
    assert values == {"text": "5", "count": 5, "flag": True, "tags": ["a", "b"], "any": {"a": 1}}
    assert files == {"picture": {"filename": "p.png", "content_type": "image/png", "base64": "iVBORw=="}}


@pytest.mark.parametrize("words", [["count=many"], ["count=5", "count=6"], ["any=not json"]])
def test_a_value_of_another_type_is_refused(call: Call, words: Any) -> None:
    """Before anything is sent."""
    with pytest.raises(SettingsError, match=words[0].partition("=")[0]):
        as_json(call, read_arguments(words))


def test_a_file_that_is_no_text_is_refused_for_a_text(call: Call, tmp_path: Path) -> None:
    """So is one that is too large for a trial."""
    odd, large = tmp_path / "odd", tmp_path / "large"
    odd.write_bytes(b"\xff\xfe")
    with large.open("wb") as stream:
        stream.truncate(6 * 1024 * 1024)
    with pytest.raises(SettingsError, match="not UTF-8"):
        MultipartForm(call, read_arguments([f"text=@{odd}"]))
    with pytest.raises(SettingsError, match="more than 5 MiB"):
        as_json(call, read_arguments([f"picture=@{large}"]))
