"""Work in slices gives what the method of the same name gives, wherever a slice ends."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.core import slices

BYTES = st.lists(st.sampled_from([b"a", b"ab", b"aba", b" ", b"\n", b"b", b"\xff", b"\xc3\xa9", b"\xed\xa0\xbd"])).map(
    b"".join
)
TEXTS = st.text(st.sampled_from("ab,é\U0001f600\ud83d"))


@pytest.fixture(autouse=True, scope="module")
def small() -> object:
    """Slices of four bytes, so that short texts are cut."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slices, "SLICE", 4)
        yield


@given(TEXTS)
def test_marks_are_counted(text: str) -> None:
    """In each slice once."""
    assert slices.count(text, ",") == text.count(",")


@given(BYTES, st.sampled_from([b"a", b"ab", b"aba", b"aa", b"abaab"]))
def test_what_lies_across_slices_is_found_and_replaced(data: bytes, part: bytes) -> None:
    """From left to right, also where one begins within another."""
    assert slices.find(data, part) == data.find(part)
    assert slices.replace(data, part, b"*") == data.replace(part, b"*")
    assert slices.replace(data, part, b"longer than before") == data.replace(part, b"longer than before")


@given(BYTES)
def test_marks_at_the_ends_go(data: bytes) -> None:
    """And what is nothing else is blank."""
    assert slices.strip(data, b" \n") == data.strip(b" \n")
    assert slices.is_blank(data) is (not data.strip())
    assert slices.is_blank(data, b"a ") is (not data.strip(b"a "))


@given(st.lists(BYTES), st.lists(TEXTS))
def test_parts_are_joined(parts: list[bytes], texts: list[str]) -> None:
    """Small and large ones."""
    assert slices.join(parts) == b"".join(parts)
    assert slices.join_text(texts) == "".join(texts)


@given(TEXTS, st.sampled_from(["surrogatepass", "replace", "backslashreplace"]))
def test_text_is_encoded(text: str, errors: str) -> None:
    """Halves of characters too."""
    assert slices.encode(text, errors) == text.encode("utf-8", errors)


@given(BYTES, st.sampled_from(["strict", "surrogatepass", "replace"]))
def test_bytes_are_decoded(data: bytes, errors: str) -> None:
    """Or refused, with the same error, wherever characters are cut."""

    def outcome(work: Callable[[], str]) -> str | type[Exception]:
        try:
            return work()
        except UnicodeDecodeError as error:
            return type(error)

    assert outcome(lambda: slices.decode(data, "utf-8", errors)) == outcome(lambda: data.decode("utf-8", errors))
