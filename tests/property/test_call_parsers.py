"""Whatever callers and upstreams send, what reads it for a call answers or refuses; it never fails."""

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from tieline.core.errors import BodyTooLarge, InvalidRequest, UpstreamError
from tieline.dataplane.answers.charset import charset_of, text_of
from tieline.dataplane.answers.content_coding import Inflate
from tieline.dataplane.answers.error_text import MESSAGE_MOST, extract_error
from tieline.dataplane.attempt.retry import pause, retry_after
from tieline.definitions.infer.links import next_link
from tieline.wire.multipart import FieldPart, FileBegun, FileData, FormReader, boundary_of

SHREDS = st.sampled_from(
    [b"--edge", b"--edge--", b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"Content-Disposition: form-data", b'; name="a"',
     b"; name=", b'; filename="b"', b"; filename*=utf-8''x", b"Content-Type: x", b"Content-Length: 9", b":", b'"',
     b"\\",      b"Content-Length: -1", b"\x00", b"\xff", b" ", b"value"]
)  # fmt: skip
DATES = st.from_regex(r"[A-Z][a-z]{2}, [0-9]{1,3} [A-Z][a-z]{2} [0-9]{4} [0-9:]{5,8} .{0,6}").map(str.encode)
FORMS = st.lists(SHREDS | st.binary(max_size=8), max_size=30).map(b"".join)
TEXTS = st.text(max_size=40)


@given(FORMS, st.integers(1, 20))
def test_any_bytes_are_a_form_or_none(data: bytes, step: int) -> None:
    """Cut anywhere, with the same outcome; what stands before the first boundary is no part of either."""
    data = b"--edge\r\n" + data
    outcomes: list[tuple[object, object]] = []
    for size in (step, len(data) + 1):
        reader = FormReader(b"edge")
        told: list[object] = []
        try:
            for at in range(0, len(data), size):
                told += reader.feed(data[at : at + size])
            reader.finish()
        except (InvalidRequest, BodyTooLarge) as error:
            outcomes.append((None, type(error)))
            continue
        whole = b"".join(event.data for event in told if isinstance(event, FileData))
        outcomes.append(([event for event in told if isinstance(event, FieldPart | FileBegun)], whole))
    assert outcomes[0] == outcomes[1]


@given(st.binary(max_size=60) | TEXTS.map(lambda text: b"multipart/form-data; boundary=" + text.encode()))
def test_any_content_type_has_a_boundary_or_not(content_type: bytes) -> None:
    """Or is refused."""
    with contextlib.suppress(InvalidRequest):
        boundary = boundary_of(content_type)
        assert boundary is None or 0 < len(boundary) <= 70


@given(st.binary(max_size=30), st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_any_error_has_a_message_or_none(content_type: bytes, body: bytes) -> None:
    """Of one line and bounded length."""
    message, code = extract_error(content_type, body)
    assert message is None or (0 < len(message) <= MESSAGE_MOST and "\n" not in message)
    assert code is None or 0 < len(code) <= 100


@given(st.binary(max_size=200), st.integers(1, 50), st.booleans())
def test_any_coded_body_is_undone_or_refused(data: bytes, step: int, deflate: bool) -> None:
    """Never beyond the most."""
    undo = Inflate(10_000, deflate=deflate)
    made = b""
    with contextlib.suppress(UpstreamError):
        for at in range(0, len(data), step):
            made += undo.feed(data[at : at + step])
        undo.finish()
    assert len(made) <= 10_000


@given(st.binary(max_size=100) | st.text("<>;,=\"\\ relnxt'*/:.", max_size=60).map(str.encode))
def test_any_link_header_is_read(value: bytes) -> None:
    """A target or none."""
    found = next_link([value.decode(errors="replace")])
    assert found is None or isinstance(found, str)


@given(st.binary(max_size=40) | DATES)
def test_any_retry_after_is_seconds_or_none(value: bytes) -> None:
    """And is waited for within bounds or not at all."""
    seconds = retry_after([(b"retry-after", value)])
    assert seconds is None or seconds >= 0
    waited = pause(1, [(b"retry-after", value)])
    assert waited is None or 0 <= waited <= 30


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_any_body_is_text_in_some_charset(content_type: bytes, body: bytes) -> None:
    """Though nobody knows the charset, or it is no charset of text."""
    assert isinstance(text_of(body, charset_of(content_type)), str)


@given(st.sampled_from(["hex", "base64", "rot13", "zlib", "idna", "undefined", "utf-7", "utf-16", "punycode", "mbcs"]),
       st.binary(max_size=60))  # fmt: skip
def test_no_charset_is_more_than_text(charset: str, body: bytes) -> None:
    """Python has codecs that are no charsets."""
    assert isinstance(text_of(body, charset), str)
