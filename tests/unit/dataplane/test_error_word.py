"""The word by which an upstream names an error, and nothing else of what it said."""

import pytest

from tieline.dataplane.answers.error_word import SAID_MOST, error_word


@pytest.mark.parametrize(
    ("said", "word"),
    [
        (
            b'{"error": {"message": "x", "type": "insufficient_quota", "code": "insufficient_quota"}}',
            "insufficient_quota",
        ),
        (b'{"error":{"message":"x","type":"invalid_request_error","param":null,"code":null}}', "invalid_request_error"),
        (b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}', "overloaded_error"),
        (b'{"error": {"code": 429, "message": "x", "status": "RESOURCE_EXHAUSTED"}}', "RESOURCE_EXHAUSTED"),
        (b"<Error><Code>AccessDenied</Code><Message>x</Message></Error>", "AccessDenied"),
        (b'{"error":"invalid_grant","error_description":"x"}', "invalid_grant"),
        (b'{"__type":"ThrottlingException","message":"x"}', "ThrottlingException"),
        (b'{"error": "Incorrect API key provided: sk-abc"}', None),
        (b'{"code": "sk-proj-a1b2c3d4"}', None),
        (b'{"code": "user@example.com"}', None),
        (b'{"status": "error", "message": "no"}', None),
        (b"<html>Bad gateway</html>", None),
        (b"\xff\x00", None),
        (b"", None),
    ],
)
def test_the_word_of_an_error(said: bytes, word: str | None) -> None:
    """As the large providers write it; a key, an address or a sentence is no word."""
    assert error_word(said) == word


def test_a_flood_of_members_costs_a_bounded_look() -> None:
    """The end of an answer is looked into, however long it is."""
    assert error_word(b'"code":"' * 200_000 + b'"code":"late"') == "late"
    assert error_word(b'{"code":"early"}' + b" " * SAID_MOST) is None
