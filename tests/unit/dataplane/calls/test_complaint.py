"""The message and code in upstreams' errors, as real APIs write them."""

import pytest

from tieline.dataplane.answers.error_text import MESSAGE_MOST, complaint


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
        (b'{"error": true, "code": false}', (None, None)),
        (b'"just text"', ("just text", None)),
        (b"{}", (None, None)),
        (b"null", (None, None)),
    ],
)  # fmt: skip
def test_json_errors_are_read(body: bytes, found: tuple[str | None, str | None]) -> None:
    """Of the shapes that APIs have."""
    assert complaint(b"application/json", body) == found


def test_plain_text_is_its_own_message() -> None:
    """In one line."""
    assert complaint(b"text/plain", b"Sorry,\n  try later.") == ("Sorry, try later.", None)


def test_html_says_nothing() -> None:
    """Error pages are for people with browsers."""
    assert complaint(b"text/html", b"<h1>Bad gateway</h1>") == (None, None)
    assert complaint(b"", b" <h1>Bad gateway</h1>") == (None, None)


def test_a_long_message_is_cut() -> None:
    """An error is one line, not a page."""
    message, _ = complaint(b"text/plain", b"x" * 10_000)
    assert message is not None
    assert len(message) == MESSAGE_MOST


def test_nesting_has_an_end() -> None:
    """Nobody is led in circles."""
    assert complaint(b"application/json", b'{"error":' * 50 + b"{}" + b"}" * 50) == (None, None)
