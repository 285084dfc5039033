"""What is looked for in answers: the shortest forms of a request's secrets, found without holding each against each."""

from hypothesis import given
from hypothesis import strategies as st

from tests.steps import steps
from tieline.core.secret import Secret
from tieline.dataplane.snapshot.reflections import reflected

TEXTS = st.text("ab", min_size=12, max_size=18)


@given(st.lists(TEXTS, max_size=12))
def test_what_holds_another_secret_is_left_out(texts: list[str]) -> None:
    """And nothing else is."""
    found = reflected((), [Secret.from_text(each) for each in texts])
    innermost = {each for each in texts if not any(each != other and other in each for other in texts)}
    assert {each.decode() for each in found} == innermost


def test_very_many_secrets_take_steps_in_step_with_their_bytes() -> None:
    """As an API has them whose every call has private parameters of its own; all begin alike."""
    few, many = ([Secret.from_text(f"sk-provider-{at:08d}") for at in range(count)] for count in (200, 400))
    assert len(reflected((), many)) == 400
    assert steps(lambda: reflected((), many)) <= 2.1 * steps(lambda: reflected((), few)) + 50
