r"""Templates: slots, the literal ``\<``, and values in paths, queries and headers."""

import pytest

from tieline.core.errors import InvalidParameter
from tieline.definitions.template import Literal, Slot, escape, names_in, parse


def test_slots_and_literals_are_told_apart() -> None:
    """``<name>`` is a slot."""
    assert parse("a <b> c<d>").pieces == (Literal("a "), Slot("b"), Literal(" c"), Slot("d"))
    assert parse("<b><b>").names() == ("b",)


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        (r"\<a>", "<a>"),
        (r"\\<a>", "\\!"),
        (r"\\\<a>", r"\<a>"),
        (r"a\b", r"a\b"),
        ("a < b", "a < b"),
        ("</a>", "</a>"),
        ('<a href="x">', '<a href="x">'),
        ("<?xml?>", "<?xml?>"),
        ("<soap:Envelope>", "<soap:Envelope>"),
        ("<", "<"),
        ("<>", "<>"),
    ],
)
def test_backslashes_and_lone_brackets(text: str, rendered: str) -> None:
    r"""``\<`` is a literal, and what begins no slot stands for itself."""
    assert parse(text).render_text({"a": "!"}) == rendered


@pytest.mark.parametrize("text", ["<user-id>", "<user id>", "<1a>", "<_a>", "<a.b>", "<" + "a" * 64 + ">"])
def test_what_was_meant_as_a_slot_is_refused(text: str) -> None:
    """A typing error is told, not sent."""
    with pytest.raises(ValueError, match="names no parameter"):
        parse(text)


def test_escaped_text_stands_for_itself() -> None:
    """``escape`` undoes what ``parse`` reads into text."""
    for text in ("<a>", r"\<a>", r"\\<", "<<a>>", "\\"):
        assert parse(escape(text)).render_text({}) == text


def test_names_are_found_in_data_of_any_depth() -> None:
    """A JSON body's texts and keys are templates."""
    assert names_in({"a": ["<b>", {"c": "x <d> <b>"}], "<e>": 5}) == ("e", "b", "d")


def test_a_path_value_is_one_segment() -> None:
    """Everything but unreserved characters is percent-encoded."""
    assert parse("/a/<b>/c").render_path({"b": "x/y?z#ü ;"}) == "/a/x%2Fy%3Fz%23%C3%BC%20%3B/c"


def test_a_raw_path_value_keeps_its_slashes() -> None:
    """A parameter may say that it is a piece of path."""
    assert parse("/a/<b>").render_path({"b": "x/y%20z:1"}, frozenset({"b"})) == "/a/x/y%20z:1"


@pytest.mark.parametrize("value", [".", "..", "x/..", "../x", "..;/x", "%2e%2E", "a b", "a\\b", "a?b", "a#b", "a\nb"])
def test_a_raw_path_value_cannot_climb_or_break_out(value: str) -> None:
    """The path that was decided on is the path that is sent."""
    with pytest.raises(InvalidParameter):
        parse("/a/<b>").render_path({"b": value}, frozenset({"b"}))


@pytest.mark.parametrize("value", [".", ".."])
def test_a_path_value_of_dots_is_refused(value: str) -> None:
    """Encoding does not help against servers that decode before they resolve."""
    with pytest.raises(InvalidParameter):
        parse("/a/<b>/c").render_path({"b": value})


def test_a_query_value_follows_form_rules() -> None:
    """A blank is a plus."""
    assert parse("q=<b>&x=1").render_query({"b": "a b&c=ü+"}) == "q=a+b%26c%3D%C3%BC%2B&x=1"


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\n", "\x00", "\x7f"])
def test_a_header_value_with_control_characters_is_refused(value: str) -> None:
    """Nobody adds a header through a value."""
    with pytest.raises(InvalidParameter) as caught:
        parse("v <b>").render_header({"b": value})
    assert caught.value.param == "b"
    assert parse("v <b>").render_header({"b": "a\tb"}) == "v a\tb"
