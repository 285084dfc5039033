"""The circuit breaker and the retry budget by a clock that is told the time; the reports of others by their numbers."""

import pytest

from tieline.core.errors import Overloaded
from tieline.wire.breaker import PAUSE_MOST, Breaker
from tieline.wire.retry_budget import RetryBudget


class Clock:
    """Says what it was set to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Scene:
    """A breaker, its clock, and requests in words."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.breaker = Breaker("api.test", self.clock)

    def sends(self, *outcomes: bool | None) -> None:
        """Requests that end at once, one after another."""
        for good in outcomes:
            self.breaker.ended(good=good, probe=self.breaker.admit(), since=self.clock.now)

    def opens(self) -> None:
        self.sends(*[False] * 5)
        assert self.breaker.open

    def after(self, seconds: float) -> None:
        self.clock.now += seconds

    @property
    def refuses(self) -> bool:
        try:
            probe = self.breaker.admit()
        except Overloaded:
            return True
        self.breaker.ended(good=None, probe=probe)
        return False


@pytest.fixture
def scene() -> Scene:
    """A breaker that is closed."""
    return Scene()


def test_five_failures_in_a_row_open_it(scene: Scene) -> None:
    """Four do not, and a success between them begins the row anew."""
    scene.sends(False, False, False, False, True, False, False, False, False)
    assert not scene.breaker.open
    scene.sends(False)
    assert scene.breaker.open
    with pytest.raises(Overloaded) as refused:
        scene.breaker.admit()
    assert refused.value.retry_after == pytest.approx(1.0)
    assert "api.test" in refused.value.public


def test_half_of_many_failing_opens_it(scene: Scene) -> None:
    """Twenty failures within ten seconds are many."""
    scene.sends(*[False, True] * 19)
    assert not scene.breaker.open
    scene.sends(False)
    assert scene.breaker.open


def test_a_brown_out_of_a_fifth_leaves_it_closed(scene: Scene) -> None:
    """BerriAI/litellm pull 5698: a count of failures alone took upstreams away that failed five times in a hundred."""
    for _ in range(400):
        scene.sends(False, True, True, True, True)
        scene.after(0.01)
    assert not scene.breaker.open


def test_old_failures_are_forgotten(scene: Scene) -> None:
    """What fails now and then all day long never adds up."""
    for _ in range(100):
        scene.sends(False, False, True)
        scene.after(2.0)
    assert not scene.breaker.open


def test_two_good_probes_close_it(scene: Scene) -> None:
    """One request at a time is let through; from then on all are."""
    scene.opens()
    scene.after(1.0)
    assert scene.breaker.admit()
    with pytest.raises(Overloaded):
        scene.breaker.admit()
    scene.breaker.ended(good=True, probe=True)
    assert scene.breaker.admit()
    scene.breaker.ended(good=True, probe=True)
    assert not scene.breaker.open
    scene.sends(*[False] * 4)
    assert not scene.breaker.open


def test_a_failed_probe_opens_it_again_for_longer(scene: Scene) -> None:
    """marc-shade/world-intel-mcp issue 7: the pause was not begun anew, and every request was a probe from then on."""
    scene.opens()
    pauses = []
    for _ in range(6):
        began = scene.clock.now
        while scene.refuses:
            scene.after(0.125)
        pauses.append(scene.clock.now - began)
        scene.sends(False)
    assert pauses == [1.0, 2.0, PAUSE_MOST, PAUSE_MOST, PAUSE_MOST, PAUSE_MOST]


def test_a_probe_that_never_ends_does_not_keep_it_open(scene: Scene) -> None:
    """diegosouzapw/OmniRoute issue 13836: for six days, and 49,607 requests refused."""
    scene.opens()
    scene.after(1.0)
    assert scene.breaker.admit()
    scene.after(1.9)
    assert scene.refuses
    scene.after(0.2)
    scene.sends(True, True)
    assert not scene.breaker.open


def test_a_probe_whose_client_left_makes_room_at_once(scene: Scene) -> None:
    """BerriAI/litellm pull 39701: a probe that was cancelled never said so, and the circuit stayed half open."""
    scene.opens()
    scene.after(1.0)
    scene.sends(None, None, True, True)
    assert not scene.breaker.open


def test_clients_that_leave_are_no_failures(scene: Scene) -> None:
    """grpc/proposal pull 558: calls that their own side had cancelled were counted against the endpoint."""
    scene.sends(*[None] * 100)
    assert not scene.breaker.open


def test_only_probes_close_it(scene: Scene) -> None:
    """jaseci-labs/jac pull 8064: an answer to what was sent before it opened closed it, again and again."""
    scene.opens()
    scene.after(1.0)
    for _ in range(10):
        scene.breaker.ended(good=True, since=100.0)
    assert scene.breaker.open


def test_a_failure_of_an_old_request_does_not_count_against_an_upstream_that_came_back(scene: Scene) -> None:
    """What hung when it died ends in timeouts long after it has recovered."""
    scene.opens()
    scene.after(5.0)
    scene.sends(True, True)
    for _ in range(50):
        scene.breaker.ended(good=False, since=100.0)
    assert not scene.breaker.open


def test_a_late_failure_does_not_lengthen_the_pause(scene: Scene) -> None:
    """Nor does it count as a probe's."""
    scene.opens()
    for _ in range(50):
        scene.breaker.ended(good=False, since=100.0)
    scene.after(1.0)
    assert not scene.refuses


def budget(scene: Scene, requests: int) -> int:
    """How many of so many requests, each of which asks for it, may be sent again."""
    allowed = RetryBudget(scene.breaker, scene.clock)
    granted = 0
    for number in range(requests):
        scene.sends(number % 5 != 0)
        scene.after(0.01)
        granted += allowed.take()
    return granted


def test_a_tenth_may_be_sent_again(scene: Scene) -> None:
    """Beside ten at first, and one every two seconds."""
    assert budget(scene, 1000) == pytest.approx(10 + 100 + 5, abs=1)


def test_a_quiet_api_may_always_repeat_now_and_then(scene: Scene) -> None:
    """The budget fills with time too, and never above ten."""
    allowed = RetryBudget(scene.breaker, scene.clock)
    assert sum(allowed.take() for _ in range(50)) == 10
    scene.after(2.0)
    assert [allowed.take(), allowed.take()] == [True, False]
    scene.after(3600.0)
    assert sum(allowed.take() for _ in range(50)) == 10


def test_nothing_is_sent_again_while_it_is_open(scene: Scene) -> None:
    """envoyproxy/envoy pull 1793: what the own circuit breaker refused was retried, and the load exploded."""
    allowed = RetryBudget(scene.breaker, scene.clock)
    scene.opens()
    assert not allowed.take()
