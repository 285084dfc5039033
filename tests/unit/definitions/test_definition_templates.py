r"""Templates: slots, and the literal ``\<``."""

import pytest

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
