"""A provider's key that an upstream sends back does not leave, in whatever form its reader would find it."""

import base64
import gzip
from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from tests.wire import calling
from tests.wire.calling import error, json_answer, result
from tests.wire.conftest import StartStage
from tests.wire.raw import Script, answer, chunked, saying
from tests.wire.stage import Stage

KEY = "sk-unit/" + "provider+key=not&real=="
ESCAPED = "".join(f"\\u{ord(mark):04x}" for mark in KEY)
PAGE = KEY.replace("&", "&amp;").replace("=", "&#61;").replace("+", "&#43;")
GO_PAGE = PAGE.replace("&", "\\u0026")
KEYED = {"key": KEY}
JSON = b"Content-Type: application/json"
GZIP = b"Content-Encoding: gzip"


def call(kind: str = "json", **more: Any) -> dict[str, Any]:
    """A definition's calls: ``it``, whose answer is of this type."""
    return {"it": {"path": "/it", "response": {"type": kind, **more}}}


async def start(
    start_stage: StartStage, script: Script, credential: Mapping[str, str] = KEYED, **changes: Any
) -> Stage:
    """A stage whose API has this credential."""
    stage = await start_stage(script, **changes)
    stage.worker.source.put_credential("api", credential)
    await stage.worker.caught_up()
    return stage


def streamed(kind: bytes, *pieces: bytes) -> bytes:
    """A whole chunked answer."""
    return b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nTransfer-Encoding: chunked\r\n\r\n" % kind + chunked(*pieces)


def shows(raw: bytes) -> bool:
    """Whether a reader finds the key, or most of it."""
    text = raw.decode("utf-8", "replace")
    return any(form in text for form in (KEY, KEY[:14], KEY[8:], ESCAPED[:60], "provider+key", "provider%2Bkey"))


@pytest.mark.parametrize(
    "body",
    [
        answer(gzip.compress(b'{"k": "%b"}' % KEY.encode()), JSON, GZIP),
        answer(b'{"k": "%b"}' % KEY.replace("=", "\\u003d").encode(), JSON),
        answer(b'{"k": "%b"}' % KEY.replace("=", "\\u003D").replace("+", "\\u002B").encode(), JSON),
        answer(b'{"k": "%b"}' % ESCAPED.encode(), JSON),
        answer(b'{"k": "%b"}' % KEY.replace("/", "\\/").encode(), JSON),
        answer(b'{"k": {"%b": [1]}}' % KEY.encode(), JSON),
        answer(b'{"k": "%b"}' % b"sk-unit%2Fprovider%2Bkey%3Dnot%26real%3D%3D", JSON),
        answer(b'{"k": "%b"}' % b"sk-unit%2fprovider%252bkey%3dnot%26real%3d%3d", JSON),
        answer(b'{"k": "%b"}' % KEY.replace("&", "&amp;").replace("=", "&#x3d;").replace("+", "&#43;").encode(), JSON),
        answer(b'{"k": "{\\"k\\": \\"%b\\"}"}' % KEY.replace("=", "\\\\u003d").encode(), JSON),
        answer(f'{{"k": "{KEY}"}}'.encode("utf-16"), b"Content-Type: application/json; charset=utf-16"),
        answer(f'{{"k": "{KEY}"}}'.encode("utf-16-le"), JSON),
        answer(b'{"k": "%b"}' % GO_PAGE.encode(), JSON),
        answer(orjson.dumps({"k": f'{{"page": "{GO_PAGE}"}}'}), JSON),
        answer(b'{"k": "%b", "n": 1e400, "half": "\\ud83d"}' % KEY.encode(), JSON),
    ],
    ids=["gzip", "gson", "dotnet", "every mark", "slashes", "name", "url", "url twice", "html", "json in json",
         "html by Go", "html by Go in json", "utf-16", "utf-16 untold", "exact"],
)  # fmt: skip
@pytest.mark.parametrize("fields", [[], [{"path": "k", "type": "json"}]], ids=["whole", "fields"])
async def test_a_value_is_masked_in_every_form(start_stage: StartStage, body: bytes, fields: list[Any]) -> None:
    """After content coding, charset and escapes were read, whether fields are picked or not."""
    stage = await start(start_stage, saying(body), calls=call(fields=fields))
    found = await calling.run(stage, "it")
    assert b"*" in found.body
    assert not shows(found.raw)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text", answer(KEY.encode("utf-16"), b"Content-Type: text/plain; charset=utf-16")),
        ("text", answer(KEY.encode("utf-16"))),
        ("text", answer(f"<b>{KEY}</b>".replace("=", "&#x3d;").encode(), b"Content-Type: text/html")),
        ("xml", answer(f"<a k='{KEY}'>{KEY}</a>".replace("&", "&amp;").replace("=not", "&#x3d;not").encode())),
        ("csv", answer(f'name,k\nx,"{KEY}"\n'.encode())),
        ("file", answer(KEY.encode())),
        ("file", answer(gzip.compress(KEY.encode()), b"Content-Type: text/plain", GZIP)),
        ("file", answer(gzip.compress(KEY.encode()), GZIP)),
        ("file", answer(gzip.compress(KEY.encode()), b"Content-Type: application/x-ndjson", GZIP)),
        ("file", answer(b"*", b"Content-Type: text/plain; of=" + KEY.encode())),
        ("file", streamed(b"text/plain", KEY[:20].encode(), KEY[20:].encode())),
    ],
    ids=[
        "utf-16",
        "marked",
        "html",
        "xml",
        "csv",
        "file",
        "coded file",
        "coded bytes",
        "coded lines",
        "media type",
        "pieces",
    ],
)
async def test_every_type_of_answer_is_masked(start_stage: StartStage, kind: str, body: bytes) -> None:
    """As it is read, and a file in its pieces, whatever its media type is called."""
    stage = await start(start_stage, saying(body), calls=call(kind))
    found = await calling.run(stage, "it")
    assert found.status == 200
    assert b"*" in found.body
    assert not shows(found.raw)


@pytest.mark.parametrize("wrapped", [False, True], ids=["error", "data"])
@pytest.mark.parametrize(
    "body",
    [
        json_answer({"error": {"message": f"Bad key {KEY}."}}, status=b"401 No"),
        answer(gzip.compress(b'{"message": "Bad key: %b"}' % KEY.encode()), JSON, GZIP, status=b"401 No"),
        answer(b'{"message": "Bad key: %b"}' % ESCAPED.encode(), JSON, status=b"401 No"),
        answer(b"<p>" + KEY.replace("&", "&amp;").replace("=", "&#61;").encode() + b"</p>", status=b"401 No"),
        answer(b"x" * 485 + b" " + KEY.encode(), b"Content-Type: text/plain", status=b"500 No"),
        answer(b"", b"X-Echo: " + KEY.encode(), status=b"500 No"),
    ],
    ids=["json", "gzip", "escaped", "page", "cut", "header"],
)
async def test_an_error_is_masked(start_stage: StartStage, body: bytes, wrapped: bool) -> None:
    """In its message, and in the document and the headers that a call hands out as data."""
    how: dict[str, Any] = {"include_errors": True, "capture_headers": ["x-echo"]} if wrapped else {}
    stage = await start(start_stage, saying(body), calls=call(**how))
    found = await calling.run(stage, "it")
    assert not shows(found.raw)
    assert found.status == 200 if wrapped else error(found)["code"] == "upstream_error"


@pytest.mark.parametrize("charset", [b"text/plain; charset=utf-16le", b"text/csv"])
async def test_a_file_in_wide_characters_is_masked(start_stage: StartStage, charset: bytes) -> None:
    """Whether its charset is said or not."""
    body = answer(f"name\n{KEY}\n".encode("utf-16-le"), b"Content-Type: " + charset)
    stage = await start(start_stage, saying(body), calls=call("file"))
    found = await calling.run(stage, "it")
    assert not shows(found.body.replace(b"\0", b""))


@pytest.mark.parametrize(
    ("kind", "media", "filling", "more"),
    [
        ("json", b"text/plain", b" ", {}),
        ("json", b"text/plain", b"x", {"include_errors": True}),
        ("json", b"application/json", b" ", {"include_errors": True}),
        ("stream", b"text/html", b"<a>" + b" " * 12, {}),
    ],
    ids=["error", "data", "json", "page for a stream"],
)
async def test_a_key_that_the_cut_divides_is_not_shown(
    start_stage: StartStage, kind: str, media: bytes, filling: bytes, more: dict[str, Any]
) -> None:
    """Only the first 64 KiB of an error are looked at: what of the key lies before that is not found any more."""
    for seen in (8, 18, len(KEY) - 4):
        body = (filling * 65536)[: 65536 - seen] + KEY.encode() + b"end"
        status = b"500 No" if kind == "json" else b"200 OK"
        script = saying(answer(body, b"Content-Type: " + media, status=status))
        stage = await start(start_stage, script, calls=call(kind, **more))
        found = await calling.run(stage, "it")
        assert KEY[:8].encode() not in found.body


async def test_words_of_a_coding_are_not_repeated(start_stage: StartStage) -> None:
    """What an upstream names in Content-Encoding may be anything; a coding that is known is told."""
    for told, said in ((KEY.encode(), "an unknown coding"), (b"br, gzip", "br, gzip")):
        script = saying(answer(b"{}", JSON, b"Content-Encoding: " + told))
        stage = await start(start_stage, script, calls=call())
        assert f"encoded as {said}," in error(await calling.run(stage, "it"))["message"]


async def test_a_stream_is_masked_across_its_events(start_stage: StartStage) -> None:
    """In the text of its deltas, wherever they cut it, in events beside it, and in the whole at the end."""
    pieces = [KEY[:5], KEY[5:17], KEY[17:] + " end"]
    events = [b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % piece.encode() for piece in pieces]
    events += [b'data: {"choices":[],"x":"%b"}\n\n' % ESCAPED.encode(), b"data: [DONE]\n\n"]
    calls = call("stream", stream={"preset": "openai_chat"})
    stage = await start(start_stage, saying(streamed(b"text/event-stream", *events)), calls=calls)
    found = await calling.run(stage, "it")
    texts = [line for line in found.body.split(b"\n") if line.startswith(b'data: {"text"')]
    assert b"end" in texts[-1]
    assert not shows(found.body)
    assert not shows(b"".join(texts).replace(b'"}data: {"text":"', b""))


async def test_items_are_masked_and_cursors_are_not(start_stage: StartStage) -> None:
    """The next page is asked for by the cursor as it came, though it holds what is hidden."""
    pages = [{"items": [KEY], "next": f"after {KEY}"}, {"items": ["b"]}]
    walk = {"kind": "cursor", "parameter": "c", "next": "next", "items": "items"}
    calls = {"it": {"path": "/it", "parameters": {"c": {"in": "query", "optional": True}}, "pagination": walk}}
    stage = await start(start_stage, saying(*map(json_answer, pages)), calls=calls)
    found = await calling.run(stage, "it", {}, b"Tieline-Pages: all")
    assert b'data: "b"' in found.body
    assert not shows(found.body)
    assert b"provider%2Bkey" in stage.upstream.seen[1].line


async def test_a_user_name_is_no_secret(start_stage: StartStage) -> None:
    """An account's id stands in every answer, and in the next page's address."""
    account, token = "AC0123456789abcdef", "token-of-" + "the-account"
    told = base64.b64encode(f"{account}:{token}".encode()).decode()
    body = json_answer({"account": account, "token": token, "basic": told})
    credential = {"username": account, "password": token}
    stage = await start(start_stage, saying(body), credential, calls=call(), auth={"scheme": "basic"})
    found = result(await calling.run(stage, "it"))
    assert (found["account"], found["token"]) == (account, "*" * len(token))
    assert set(found["basic"]) <= {"*", "="}
    relayed = await stage.get()
    assert account.encode() in relayed.body
    assert token.encode() not in relayed.body


async def test_a_key_that_is_a_user_name_is_masked(start_stage: StartStage) -> None:
    """Where there is no password beside it."""
    script = saying(json_answer({"k": KEY}))
    stage = await start(start_stage, script, {"username": KEY}, calls=call(), auth={"scheme": "basic"})
    assert not shows((await calling.run(stage, "it")).body)


@pytest.mark.parametrize(
    "form",
    [
        KEY,
        KEY.replace("=", "\\u003d").replace("&", "\\u0026").replace("+", "\\u002b"),
        KEY.replace("=", "\\u003D").replace("&", "\\u0026").replace("+", "\\u002B"),
        KEY.replace("/", "\\/"),
        KEY.replace("&", "&amp;"),
        "sk-unit%2Fprovider%2Bkey%3Dnot%26real%3D%3D",
        "sk-unit%2fprovider%2bkey%3dnot%26real%3d%3d",
        KEY.rstrip("="),
    ],
    ids=["plain", "gson", "dotnet", "slashes", "html", "url", "url in small letters", "without padding"],
)
async def test_a_relay_masks_the_forms_that_writers_make(start_stage: StartStage, form: str) -> None:
    """Across the pieces of a body, and in a header."""
    pieces = form[:9].encode(), form[9:].encode()
    head = b"HTTP/1.1 200 OK\r\nX-Echo: " + form.encode() + b"\r\nTransfer-Encoding: chunked\r\n\r\n"
    stage = await start(start_stage, saying(head + chunked(*pieces)))
    found = await stage.get()
    assert b"****" in found.body
    assert not shows(found.raw + found.body)
