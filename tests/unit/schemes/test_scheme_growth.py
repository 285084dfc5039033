"""What a document holds beside the place of a key costs no steps."""

from tests.steps import steps
from tieline.schemes.json_member import put_member


def test_what_a_document_holds_besides_is_passed_over() -> None:
    """A long text or a long list of numbers is a few steps beside the text itself, so that no other request waits."""
    long = b'{"x":"' + b"y" * 4_000_000 + b'","z":[' + b"1," * 2_000_000 + b"1]}"
    assert steps(lambda: put_member(long, ["key"], "k")) < 500 + len(long) // 16
