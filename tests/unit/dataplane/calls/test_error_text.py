"""The message and code in upstreams' errors, as real APIs write them."""

import pytest

from tieline.dataplane.answers.error_text import MESSAGE_MOST, extract_error


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b'{"error": {"message": "No such model.", "type": "invalid_request_error", "code": "model_not_found"}}',
         ("No such model.", "model_not_found")),
        (b'{"error": "invalid_grant", "error_description": "The code has expired."}', ("The code has expired.", None)),
        (b'{"type": "about:blank", "title": "Bad", "detail": "No balance."}', ("No balance.", None)),
        (b'{"message": "Not Found", "documentation_url": "https://x.test"}', ("Not Found", None)),
        (b'{"errors": [{"message": "Unknown field", "code": 7}]}', ("Unknown field", "7")),
        (b'{"errors": ["Name is missing"]}', ("Name is missing", None)),
        (b'[{"message": "First of many"}]', ("First of many", None)),
        (b'{"fault": {"faultstring": "x"}, "msg": "Quota"}', ("Quota", None)),
        (b'{"error": true, "code": false}', ('{"error":true,"code":false}', None)),
        (b'{"detail": [{"loc": ["body", "email"], "msg": "Field required", "type": "missing"}]}',
         ("body.email: Field required", "missing")),
        (b'{"email": ["This field is required."]}', ('{"email":["This field is required."]}', None)),
        (b'{"errors": [{"message": "No."}, {"message": "Nor that."}], "data": null}', ("No.; Nor that.", None)),
        (b'{"__type": "ValidationException", "Message": "Too long"}', ("Too long", None)),
        (b'"just text"', ("just text", None)),
        (b"{}", (None, None)),
        (b"null", (None, None)),
    ],
)  # fmt: skip
def test_json_errors_are_read(body: bytes, found: tuple[str | None, str | None]) -> None:
    """Of the shapes that APIs have."""
    assert extract_error(b"application/json", body) == found


def test_plain_text_is_its_own_message() -> None:
    """In one line."""
    assert extract_error(b"text/plain", b"Sorry,\n  try later.") == ("Sorry, try later.", None)


@pytest.mark.parametrize(
    ("kind", "body", "found"),
    [
        (b"text/html", b"<h1>Bad gateway</h1>", ("Bad gateway", None)),
        (b"", b" <html><head><title>503</title><style>p {}</style></head><p>No &amp; no</p>", ("No & no", None)),
        (b"text/html", b"<title>Down</title><script>let x = 1</script>", ("Down", None)),
        (b"text/xml", b"<Error><Code>NoSuchKey</Code><Message>No such key.</Message></Error>",
         ("No such key.", "NoSuchKey")),
        (b"text/html", b'{"error": {"message": "Mislabelled"}}', ("Mislabelled", None)),
        (b"application/json", b"upstream connect error", ("upstream connect error", None)),
        (b"text/plain; charset=utf-16", "Würzburg".encode("utf-16"), ("Würzburg", None)),
        (b"text/html", b"<" * 100 + b"a" * 60_000, ("<" * 100 + "a" * 399 + "…", None)),
    ],
)  # fmt: skip
def test_an_error_arrives_whatever_its_dress(kind: bytes, body: bytes, found: tuple[str | None, str | None]) -> None:
    """Known members first, else what a reader would see of the body's beginning."""
    assert extract_error(kind, body) == found


def test_what_is_hidden_is_hidden_before_it_is_cut() -> None:
    """Half a secret at the end of a long message would not be found any more."""
    message, _ = extract_error(
        b"text/plain", b"x" * (MESSAGE_MOST - 4) + b"SECRET", lambda text: text.replace("SECRET", "*")
    )
    assert message == "x" * (MESSAGE_MOST - 4) + "*"


def test_a_long_message_is_cut() -> None:
    """An error is one line, not a page."""
    message, _ = extract_error(b"text/plain", b"x" * 10_000)
    assert message is not None
    assert len(message) == MESSAGE_MOST


def test_nesting_has_an_end() -> None:
    """Nobody is led in circles."""
    message, code = extract_error(b"application/json", b'{"error":' * 50 + b"{}" + b"}" * 50)
    assert (message or "").startswith('{"error":')
    assert code is None
