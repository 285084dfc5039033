"""Files in and out of calls: as a form, held while they are small, passed through as they come where they are not."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.wire import calling
from tests.wire.calling import error, json_answer, result
from tests.wire.conftest import StartStage
from tests.wire.raw import Message, Peer, Upstream, answer, saying
from tests.wire.stage import Stage
from tieline.wire.multipart import FieldPart, FileBegun, FileData, FormReader, boundary_of

MIB = 1024 * 1024
LARGE = bytes(range(256)) * (6 * MIB // 256)
FORM = b"Content-Type: multipart/form-data; boundary=edge"
CALLS: dict[str, Any] = {
    "edit": {
        "method": "POST",
        "path": "/edits",
        "parameters": {
            "prompt": {},
            "image": {"type": "file"},
            "mask": {"type": "file", "optional": True},
            "size": {"type": "integer", "default": 512},
        },
        "body": {
            "type": "multipart",
            "fields": [
                {"name": "prompt", "value": "<prompt>"},
                {"name": "image", "value": "<image>"},
                {"name": "mask", "value": "<mask>"},
                {"name": "size", "value": "<size>"},
            ],
        },
    },
    "put": {
        "method": "PUT",
        "path": "/files/<name>",
        "parameters": {"name": {}, "data": {"type": "file"}},
        "body": {"type": "raw", "content_type": "application/octet-stream", "template": "<data>"},
    },
}


def field(name: str, value: str) -> bytes:
    """A field of a form."""
    return f'--edge\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()


def file(name: str, data: bytes, filename: str = "a.png", size: int | None = None) -> bytes:
    """A file of a form; ``size`` is what its part says of it."""
    head = (
        f'--edge\r\nContent-Disposition: form-data; name="{name}"; filename="{filename}"\r\nContent-Type: image/png\r\n'
    )
    head += f"Content-Length: {size}\r\n" if size is not None else ""
    return head.encode() + b"\r\n" + data + b"\r\n"


def form(*parts: bytes) -> bytes:
    """A whole form."""
    return b"".join(parts) + b"--edge--\r\n"


def read_form(message: Message) -> tuple[dict[str, str], dict[str, tuple[FileBegun, bytes]]]:
    """The fields and files that an upstream got."""
    reader = FormReader(boundary_of(message.one(b"content-type")) or b"")
    fields: dict[str, str] = {}
    files: dict[str, tuple[FileBegun, bytes]] = {}
    begun: FileBegun | None = None
    for event in reader.feed(message.body):
        if isinstance(event, FieldPart):
            fields[event.name] = event.value
        elif isinstance(event, FileBegun):
            begun = event
            files[event.name] = (event, b"")
        elif isinstance(event, FileData) and begun is not None:
            files[begun.name] = (begun, files[begun.name][1] + event.data)
    reader.finish()
    return fields, files


@pytest.fixture
async def stage(start_stage: StartStage) -> Stage:
    """A worker before an upstream that takes files."""
    return await start_stage(saying(json_answer({"ok": True})), calls=CALLS)


async def run(stage: Stage, call: str, body: bytes, *fields: bytes) -> Message:
    """The answer to a run with a form."""
    return await calling.run(stage, call, None, FORM, *fields, body=body)


async def test_a_form_becomes_the_calls_form(stage: Stage) -> None:
    """Fields by their types, files with their names and types, whatever their order; the length is known."""
    body = form(file("mask", b"m" * 10, "m.png"), field("prompt", "a ✓"), file("image", b"\x00\r\n--edge\x01", "i.png"))
    assert result(await run(stage, "edit", body)) == {"ok": True}
    seen = stage.upstream.seen[0]
    fields, files = read_form(seen)
    assert fields == {"prompt": "a ✓", "size": "512"}
    assert (files["image"][0].filename, files["image"][1]) == ("i.png", b"\x00\r\n--edge\x01")
    assert (files["mask"][0].content_type, files["mask"][1]) == ("image/png", b"m" * 10)
    assert int(seen.one(b"content-length")) == len(seen.body)


async def test_a_file_that_is_not_given_is_left_out(stage: Stage) -> None:
    """Its part with it."""
    await run(stage, "edit", form(field("prompt", "x"), file("image", b"i")))
    assert read_form(stage.upstream.seen[0])[1].keys() == {"image"}


async def test_a_file_can_be_the_whole_body(stage: Stage) -> None:
    """With the definition's content type and the file's length."""
    await run(stage, "put", form(field("name", "a b"), file("data", b"bytes")))
    seen = stage.upstream.seen[0]
    assert (seen.line, seen.body) == (b"PUT /v1/files/a%20b HTTP/1.1", b"bytes")
    assert (seen.one(b"content-type"), seen.one(b"content-length")) == (b"application/octet-stream", b"5")


@pytest.mark.parametrize("call", ["edit", "put"])
async def test_a_large_file_passes_through(stage: Stage, call: str) -> None:
    """In chunks where nobody knows its length; not a byte is another."""
    parts = (
        (field("prompt", "x"), file("image", LARGE)) if call == "edit" else (field("name", "x"), file("data", LARGE))
    )
    assert result(await run(stage, call, form(*parts))) == {"ok": True}
    seen = stage.upstream.seen[0]
    got = read_form(seen)[1]["image"][1] if call == "edit" else seen.body
    assert hashlib.sha256(got).digest() == hashlib.sha256(LARGE).digest()
    assert seen.one(b"transfer-encoding") == b"chunked"


async def test_a_large_file_that_says_its_length_is_sent_with_one(stage: Stage) -> None:
    """For APIs that take no chunks."""
    await run(stage, "put", form(field("name", "x"), file("data", LARGE, size=len(LARGE))))
    assert stage.upstream.seen[0].one(b"content-length") == str(len(LARGE)).encode()


@pytest.mark.parametrize("wrong", [-1, 1])
async def test_a_file_that_is_not_as_long_as_it_says_is_cut(stage: Stage, wrong: int) -> None:
    """The upstream never takes it for whole."""
    body = form(field("name", "x"), file("data", LARGE, size=len(LARGE) + wrong))
    found = await run(stage, "put", body)
    assert (found.status, error(found)["code"]) == (400, "invalid_request")
    await stage.upstream.until(lambda upstream: upstream.open == 0)
    assert stage.upstream.seen == []


async def test_small_files_come_before_a_large_one(stage: Stage) -> None:
    """Its parts are known when it begins to pass."""
    body = form(field("prompt", "x"), file("mask", b"m", "m.png"), file("image", LARGE))
    assert result(await run(stage, "edit", body)) == {"ok": True}
    _, files = read_form(stage.upstream.seen[0])
    assert (files["mask"][1], len(files["image"][1])) == (b"m", len(LARGE))


async def test_what_follows_a_large_file_is_refused(stage: Stage) -> None:
    """And the upstream's request cut, so that it takes no half for a whole."""
    body = form(field("name", "x"), file("data", LARGE), field("late", "y"))
    found = await run(stage, "put", body)
    assert "largest file last" in error(found)["message"]
    await stage.upstream.until(lambda upstream: upstream.open == 0)
    assert stage.upstream.seen == []


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (form(field("prompt", "x")), "missing_parameter"),
        (form(field("prompt", "x"), field("image", "no file")), "invalid_parameter"),
        (form(field("prompt", "x"), file("image", b"1"), file("image", b"2")), "invalid_request"),
        (form(field("prompt", "x"), file("other", b"1")), "invalid_parameter"),
        (form(field("prompt", "x"), field("size", "big"), file("image", b"1")), "invalid_parameter"),
        (form(field("prompt", "x"), file("image", b"1"))[:-9], "invalid_request"),
        (b"{}", "invalid_request"),
    ],
    ids=["missing", "a field", "twice", "unknown", "no number", "cut", "no form"],
)
async def test_a_form_that_is_wrong_is_refused(stage: Stage, body: bytes, code: str) -> None:
    """Before anything is sent."""
    found = await run(stage, "edit", body)
    assert (found.status, error(found)["code"]) == (400, code)
    assert stage.upstream.accepted == 0


async def test_a_body_over_the_apis_limit_is_refused(start_stage: StartStage) -> None:
    """While it comes, when it does not say its length."""
    stage = await start_stage(saying(json_answer({})), calls=CALLS, limits={"body": "5MiB"})
    found = await run(stage, "put", form(field("name", "x"), file("data", LARGE)))
    assert (found.status, error(found)["code"]) == (413, "body_too_large")
    await stage.settled()


async def test_an_upstream_that_has_seen_enough_is_heard(start_stage: StartStage) -> None:
    """Its refusal is answered though the file is not whole."""

    async def refuse(upstream: Upstream, peer: Peer) -> None:
        await peer.head()
        await peer.send(answer(b'{"message": "too big"}', status=b"413 Too Large"))
        await peer.gone()

    stage = await start_stage(refuse, calls=CALLS)
    client = await stage.connect()
    whole = calling.request(stage, "put", None, FORM, body=form(field("name", "x"), file("data", LARGE)))
    await client.send(whole[: 5 * MIB])
    found = await client.message()
    assert (found.status, error(found)["message"]) == (413, "The upstream answered 413: too big")
    await stage.settled()


async def test_a_client_that_leaves_in_the_middle_cuts_the_upload(start_stage: StartStage) -> None:
    """Nothing is left of it."""
    stage = await start_stage(saying(json_answer({})), calls=CALLS)
    client = await stage.connect()
    whole = calling.request(stage, "put", None, FORM, body=form(field("name", "x"), file("data", LARGE)))
    await client.send(whole[: 5 * MIB])
    await stage.upstream.until(lambda upstream: upstream.accepted == 1)
    client.reset()
    await stage.upstream.until(lambda upstream: upstream.open == 0)
    await stage.settled()
    assert stage.upstream.seen == []


async def test_a_large_upload_is_not_done_twice_under_its_key(stage: Stage) -> None:
    """The same bytes are answered again, others are a mistake."""
    key = b"Idempotency-Key: once"
    body = form(field("name", "x"), file("data", LARGE))
    other = form(field("name", "x"), file("data", LARGE[:-1] + b"!"))
    first, again, changed = [await run(stage, "put", each, key) for each in (body, body, other)]
    assert result(first) == result(again) == {"ok": True}
    assert (changed.status, error(changed)["code"]) == (422, "idempotency_mismatch")
    assert len(stage.upstream.seen) == 1


@pytest.mark.parametrize("size", [100, 6 * MIB])
async def test_a_scheme_that_signs_bodies_reads_the_file_first(start_stage: StartStage, size: int) -> None:
    """It is sent whole, under its hash."""
    scheme = {"scheme": "aws_sigv4", "region": "eu-west-1", "service": "s3"}
    stage = await start_stage(saying(json_answer({"ok": True})), calls=CALLS, auth=scheme)
    fields = {"access_key_id": "AKIA" + "NOTREAL", "secret_access_key": "not-" + "a-real-secret-key"}
    stage.worker.source.put_credential("api", fields)
    await stage.worker.caught_up()
    assert result(await run(stage, "put", form(field("name", "x"), file("data", LARGE[:size])))) == {"ok": True}
    seen = stage.upstream.seen[0]
    assert (seen.one(b"content-length"), len(seen.body)) == (str(size).encode(), size)
    assert seen.one(b"x-amz-content-sha256").decode() == hashlib.sha256(seen.body).hexdigest()


async def test_a_file_too_large_to_sign_is_refused(start_stage: StartStage) -> None:
    """A scheme reads no more than 16 MiB."""
    stage = await start_stage(calls=CALLS, auth={"scheme": "aws_sigv4", "region": "eu-west-1", "service": "s3"})
    fields = {"access_key_id": "AKIA" + "NOTREAL", "secret_access_key": "not-" + "a-real-secret-key"}
    stage.worker.source.put_credential("api", fields)
    await stage.worker.caught_up()
    found = await run(stage, "put", form(field("name", "x"), file("data", LARGE * 3)))
    assert (found.status, error(found)["code"]) == (413, "body_too_large")


# -- memory


def pieces(size: int) -> Iterator[bytes]:
    """``size`` bytes in pieces of 64 KiB."""
    piece = b"x" * 65_536
    for _ in range(size // len(piece)):
        yield piece


def highest() -> int:
    """The most memory that this process had since it was last ``forgotten``, in bytes."""
    rows = Path("/proc/self/status").read_text().splitlines()
    return next(int(row.split()[1]) * 1024 for row in rows if row.startswith("VmHWM"))


def forget() -> int:
    """Begin anew with what the process has now, in bytes."""
    Path("/proc/self/clear_refs").write_text("5")
    return highest()


async def sink(upstream: Upstream, peer: Peer) -> None:
    """Takes any body without keeping it, and answers how much there was."""
    head = await peer.head()
    left = int(head.one(b"content-length"))
    taken = 0
    while taken < left:
        taken += len(await peer.reader.read(65_536))
    await peer.send(json_answer({"size": taken}))


@pytest.mark.alone
async def test_a_file_up_stays_out_of_memory(start_stage: StartStage, soak: bool) -> None:
    """200 MB (fewer unless soaking) pass within 16 MiB."""
    size = (200 if soak else 48) * MIB
    stage = await start_stage(sink, calls=CALLS)
    client = await stage.connect()
    begun, ended = form(field("name", "x"), file("data", b"", size=size)).split(b"\r\n\r\n\r\n")
    parts = (begun + b"\r\n\r\n", b"\r\n" + ended)
    head = calling.request(stage, "put", None, FORM, body=b"")
    length = len(parts[0]) + size + len(parts[1])
    await client.send(head.replace(b"Content-Length: 0", b"Content-Length: %d" % length) + parts[0])
    before = forget()
    for piece in pieces(size):
        await client.send(piece)
    await client.send(parts[1])
    assert result(await client.message()) == {"size": size}
    assert highest() - before < 16 * MIB


@pytest.mark.alone
async def test_a_file_down_stays_out_of_memory(start_stage: StartStage, soak: bool) -> None:
    """However slowly it is read at first."""
    size = (200 if soak else 48) * MIB

    async def source(upstream: Upstream, peer: Peer) -> None:
        await upstream.read(peer)
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for piece in pieces(size):
            await peer.send(piece)

    stage = await start_stage(source, calls={"get": {"path": "/file", "response": {"type": "file"}}})
    client = await stage.connect()
    before = forget()
    await client.send(calling.request(stage, "get"))
    head = await client.head()
    left = int(head.one(b"content-length"))
    while left:
        left -= len(await client.reader.read(65_536))
    assert highest() - before < 16 * MIB


async def test_a_large_value_of_a_form_arrives(stage: Stage) -> None:
    """It is read in a thread, to the same value."""
    text = "ü" * 200_000
    body = form(file("mask", b"m", "m.png"), file("image", b"i", "i.png"), field("prompt", text))
    assert result(await run(stage, "edit", body)) == {"ok": True}
    assert read_form(stage.upstream.seen[0])[0]["prompt"] == text
