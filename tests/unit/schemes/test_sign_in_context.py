"""What a scheme keeps between two steps of a sign-in, as one secret and back."""

from hypothesis import given
from hypothesis import strategies as st

from tieline.core.secret import Secret
from tieline.schemes.sign_in_context import pack, unpack


@given(st.dictionaries(st.text(max_size=20), st.binary(max_size=200), max_size=8))
def test_what_was_kept_comes_back(values: dict[str, bytes]) -> None:
    """Any names, any bytes, in any number."""
    kept = {name: Secret(value) for name, value in values.items()}
    assert unpack(pack(kept)) == kept
