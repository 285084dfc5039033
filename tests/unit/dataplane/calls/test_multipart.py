"""Forms with files are read as they come."""

import pytest

from tieline.core.errors import BodyTooLarge, InvalidRequest
from tieline.wire.multipart import (
    FIELDS_MOST,
    FieldPart,
    FileBegun,
    FileData,
    FileEnded,
    FormEvent,
    FormReader,
    boundary_of,
)

FORM = (
    b'--b\r\nContent-Disposition: form-data; name="prompt"\r\n\r\nhei \xe2\x9c\x93\r\n'
    b'--b\r\ncontent-disposition: form-data; name="photo"; filename="a b.png"\r\nContent-Type: image/png\r\n'
    b"Content-Length: 9\r\n\r\n\x00\r\n--not\x00\r\n--b--\r\n"
)


def joined(events: list[FormEvent]) -> list[FormEvent]:
    """``events`` with neighbouring bytes of a file as one."""
    found: list[FormEvent] = []
    for event in events:
        if isinstance(event, FileData) and found and isinstance(found[-1], FileData):
            found[-1] = FileData(found[-1].data + event.data)
        else:
            found.append(event)
    return found


@pytest.mark.parametrize("at", range(len(FORM)))
def test_a_form_is_the_same_wherever_it_is_cut(at: int) -> None:
    """Fields whole, files in pieces."""
    reader = FormReader(b"b")
    events = reader.feed(FORM[:at]) + reader.feed(FORM[at:])
    reader.finish()
    assert joined(events) == [
        FieldPart("prompt", "hei ✓"),
        FileBegun("photo", "a b.png", "image/png", 9),
        FileData(b"\x00\r\n--not\x00"),
        FileEnded(),
    ]


@pytest.mark.parametrize("end", [10, len(FORM) - 6])
def test_a_form_that_is_cut_short_is_refused(end: int) -> None:
    """Its last boundary is what says that it is whole."""
    reader = FormReader(b"b")
    reader.feed(FORM[:end])
    with pytest.raises(InvalidRequest):
        reader.finish()


@pytest.mark.parametrize(
    "form",
    [
        b"no form at all",
        b"--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b--\r\n",
        b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n",
        b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n\xff\r\n--b--\r\n',
        b'--b\r\nContent-Disposition: attachment; name="x"\r\n\r\nx\r\n--b--\r\n',
    ],
)
def test_what_is_no_form_is_refused(form: bytes) -> None:
    """Parts need names, and text is UTF-8."""
    reader = FormReader(b"b")
    with pytest.raises(InvalidRequest):
        reader.feed(form)


def test_fields_have_a_bound_together() -> None:
    """They are kept in memory."""
    reader = FormReader(b"b")
    reader.feed(b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n')
    with pytest.raises(BodyTooLarge):
        for _ in range(FIELDS_MOST // 65_536 + 1):
            reader.feed(b"x" * 65_536)


def test_the_boundary_is_found() -> None:
    """Quoted or not; other types have none, other multiparts are refused."""
    assert boundary_of(b"multipart/form-data; boundary=abc") == b"abc"
    assert boundary_of(b'Multipart/Form-Data; charset=x; boundary="a b"') == b"a b"
    assert boundary_of(b"application/json") is None
    for wrong in (
        b"multipart/mixed; boundary=x",
        b"multipart/form-data",
        b"multipart/form-data; boundary=" + b"x" * 71,
    ):
        with pytest.raises(InvalidRequest):
            boundary_of(wrong)
