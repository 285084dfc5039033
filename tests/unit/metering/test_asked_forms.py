"""What a form asks of a model, where every reader reads the same."""

import pytest

from tieline.metering.asked_forms import FORM_MOST, asked_in_body_of_form, is_form

TYPE = b"multipart/form-data; boundary=b"
PAIRS = b"application/x-www-form-urlencoded; charset=utf-8"


def part(disposition: str, value: str = "1") -> bytes:
    """One part."""
    return f"--b\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{value}\r\n".encode()


def form(*parts: bytes) -> bytes:
    """A form with a model, and these parts."""
    return part('name="model"', "m") + b"".join(parts) + b"--b--\r\n"


def test_the_fields_are_read_wherever_they_stand() -> None:
    """Model, choices and tokens; a file beside them is no plain text."""
    found = asked_in_body_of_form(TYPE, form(part('name="image"; filename="x"', "bytes"), part('name="n"', "3")))
    assert found is not None
    assert (found.model, found.choices, found.is_whole) == ("m", 3, False)


def test_pairs_are_read_too() -> None:
    """As a browser's form sends them."""
    found = asked_in_body_of_form(PAIRS, b"model=m&n=2&prompt=a+b")
    assert found is not None
    assert (found.model, found.choices, found.most) == ("m", 2, {"images": 2})


@pytest.mark.parametrize(
    "body",
    [
        form(part('name="n"; filename="x"')),
        form(part('name="x"; name="n"')),
        form(part("name*=utf-8''n; name=\"x\"", 'name="n"')),
        form(part('name="x"', 'a name="max_tokens" b')),
        form(part('name="x"; name="max_tokens"')),
        form()[:-4],
        b"",
    ],
)
def test_what_two_readers_read_differently_asks_for_nothing(body: bytes) -> None:
    """Such a form has no bound."""
    found = asked_in_body_of_form(TYPE, body)
    assert found is None or found.tools, found


@pytest.mark.parametrize("kind", [b"multipart/form-data", b"multipart/mixed; boundary=b", TYPE + b"; boundary=c"])
def test_a_type_that_does_not_say_where_parts_end_asks_for_nothing(kind: bytes) -> None:
    """No boundary, two, or another kind of parts."""
    assert is_form(kind)
    assert asked_in_body_of_form(kind, form()) is None


def test_a_field_that_stands_twice_is_unclear() -> None:
    """Upstreams take one or the other."""
    found = asked_in_body_of_form(TYPE, form(part('name="n"', "1"), part('name="n"', "9")))
    assert found is not None
    assert found.tools


def test_a_larger_form_is_not_read() -> None:
    """Nothing is said of it."""
    assert asked_in_body_of_form(PAIRS, b"model=m&x=" + b"x" * FORM_MOST) is None
    assert asked_in_body_of_form(PAIRS, b"a=1&" * 2_000) is None
