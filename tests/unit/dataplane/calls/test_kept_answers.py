"""Answers are kept within bounds, and what was done under a key is answered again."""

import time

import pytest

from tieline.core.errors import (
    IdempotencyInProgress,
    IdempotencyMismatch,
    InvalidRequest,
    Overloaded,
    TielineError,
)
from tieline.dataplane.calls.drift import PLACES_MOST, Drifts, Watched
from tieline.dataplane.calls.idempotency import (
    CHANGES_MOST,
    RUNNING_MOST,
    FinishedRun,
    Idempotency,
    Scope,
    recorded_for,
)
from tieline.dataplane.calls.lru import ENTRY_BYTES, LruCache
from tieline.dataplane.calls.results import WholeAnswer
from tieline.definitions.infer.drift import Drift

ANSWER = WholeAnswer(b"{}")
SCOPE = Scope("key_1", b"a")


def refused(keys: Idempotency, scope: Scope = SCOPE) -> TielineError:
    """What a key is refused with."""
    with pytest.raises(TielineError) as error:
        keys.begin(scope)
    return error.value


def test_the_longest_unused_is_given_up() -> None:
    """When everything together would be too large."""
    cache: LruCache[str, int] = LruCache(3 * ENTRY_BYTES)
    for name in ("a", "b", "c"):
        cache.put(name, 1, 0, 60)
    cache.get("a")
    cache.put("d", 1, 0, 60)
    assert [name for name in ("a", "b", "c", "d") if cache.get(name)] == ["a", "c", "d"]


def test_sizes_add_up() -> None:
    """Also where something is put twice, dropped, or too large to be kept at all."""
    cache: LruCache[str, int] = LruCache(10_000)
    cache.put("a", 1, 100, 60)
    cache.put("a", 1, 200, 60)
    cache.put("b", 1, 20_000, 60)
    assert (len(cache), cache.size) == (1, 200 + ENTRY_BYTES)
    cache.drop("a")
    assert (len(cache), cache.size) == (0, 0)


def test_what_is_too_old_is_not_found() -> None:
    """Its time is over."""
    cache: LruCache[str, int] = LruCache(10_000)
    cache.put("a", 1, 0, 0)
    assert cache.get("a") is None


def test_what_is_kept_ends_with_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """At that very moment, and its bytes with it."""
    cache: LruCache[str, int] = LruCache(10_000)
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0)
    cache.put("a", 1, 100, 5)
    monkeypatch.setattr(time, "monotonic", lambda: 1004.9)
    assert cache.get("a") == 1
    monkeypatch.setattr(time, "monotonic", lambda: 1005.0)
    assert cache.get("a") is None
    assert (len(cache), cache.size) == (0, 0)


def test_everything_together_may_be_as_large_as_was_said() -> None:
    """To the byte, and no more is given up than must be; one too large leaves the others alone."""
    cache: LruCache[str, int] = LruCache(3 * ENTRY_BYTES + 30)
    for name in ("a", "b", "c"):
        cache.put(name, 1, 10, 60)
    assert len(cache) == 3
    cache.put("d", 1, 2 * ENTRY_BYTES + 31, 60)
    assert len(cache) == 3
    cache.put("e", 1, 11, 60)
    assert [name for name in ("a", "b", "c", "d", "e") if cache.get(name)] == ["c", "e"]
    cache.put("f", 1, 2 * ENTRY_BYTES + 30, 60)
    assert (len(cache), cache.size) == (1, 3 * ENTRY_BYTES + 30)


def test_what_rests_on_something_is_found_by_it() -> None:
    """Until it is dropped, by its own tags only; without tags it rests on nothing."""
    cache: LruCache[str, int] = LruCache(100_000)
    for name, tags in (("a", ["x", "y"]), ("b", ["x"]), ("c", ["z"]), ("d", [])):
        cache.put(name, 1, 0, 60, tags)
    found = [sorted(cache.tagged(tags)) for tags in (["x"], ["y", "z"], ["none", "x", "y"], [], None)]
    assert found == [["a", "b"], ["a", "c"], ["a", "b"], [], ["a", "b", "c"]]
    cache.drop("a")
    cache.put("b", 1, 0, 60, ["z"])
    cache.drop("never")
    assert [sorted(cache.tagged(tags)) for tags in (["x"], ["y"], ["z"], None)] == [[], [], ["b", "c"], ["b", "c"]]


def test_a_key_is_run_once_at_a_time() -> None:
    """The second caller is told that it is still running."""
    keys = Idempotency()
    assert keys.begin(SCOPE) is None
    error = refused(keys)
    assert (type(error), error.retry_after) == (IdempotencyInProgress, 1)
    assert keys.begin(Scope("key_2", b"a")) is None


def test_what_was_answered_is_answered_again() -> None:
    """To the same request only."""
    keys, scope = Idempotency(), Scope("key_1", b"a")
    keys.begin(scope)
    keys.end(scope, FinishedRun(b"print", ANSWER))
    done = keys.begin(scope)
    assert done is not None
    assert recorded_for(done, b"print") is ANSWER
    with pytest.raises(IdempotencyMismatch) as error:
        recorded_for(done, b"another")
    assert error.value.param == "Idempotency-Key"


def test_a_run_that_was_not_begun_here_may_end_here() -> None:
    """Its outcome is kept as any other."""
    keys, scope = Idempotency(), Scope("key_1", b"a")
    keys.end(scope, None)
    keys.end(scope, FinishedRun(b"print", ANSWER))
    assert keys.begin(scope) == FinishedRun(b"print", ANSWER)


def test_what_failed_runs_anew() -> None:
    """Nothing is kept of it."""
    keys, scope = Idempotency(), Scope("key_1", b"a")
    keys.begin(scope)
    keys.end(scope, None)
    assert keys.begin(scope) is None


def test_an_answer_too_large_to_keep_is_not_done_twice() -> None:
    """The caller is told why it cannot be repeated."""
    with pytest.raises(IdempotencyMismatch, match="too large") as error:
        recorded_for(FinishedRun(b"print", None), b"print")
    assert error.value.param == "Idempotency-Key"


@pytest.mark.parametrize("key", [b"", b"x" * 256])
def test_a_key_has_bounds(key: bytes) -> None:
    """It is text of 1 to 255 characters."""
    error = refused(Idempotency(), Scope("key_1", key))
    assert (type(error), error.param) == (InvalidRequest, "Idempotency-Key")
    assert Idempotency().begin(Scope("key_1", key[:255] or b"x")) is None


def test_so_many_keys_run_at_once_and_no_more() -> None:
    """Each takes memory; one that ends makes room."""
    keys = Idempotency()
    for number in range(RUNNING_MOST):
        assert keys.begin(Scope("key_1", b"%d" % number)) is None
    error = refused(keys)
    assert (type(error), error.retry_after) == (Overloaded, 1)
    keys.end(Scope("key_1", b"0"), None)
    assert keys.begin(SCOPE) is None


def test_what_was_done_is_known_for_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the key is free again."""
    keys = Idempotency()
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0)
    keys.begin(SCOPE)
    keys.end(SCOPE, FinishedRun(b"print", ANSWER))
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0 + 24 * 3600 - 1)
    assert keys.begin(SCOPE) is not None
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0 + 24 * 3600)
    assert keys.begin(SCOPE) is None


def test_what_was_done_is_known_within_bounds() -> None:
    """A large answer takes the room of many small ones, and an answer that was dropped takes none."""
    keys = Idempotency(3 * 2 * ENTRY_BYTES + 1000)
    scopes = [Scope("key_1", b"%d" % number) for number in range(4)]
    for scope in scopes[:3]:
        keys.begin(scope)
        keys.end(scope, FinishedRun(b"print", ANSWER, 333), ["con_1"])
    keys.changed(["con_1"])
    keys.begin(scopes[3])
    keys.end(scopes[3], FinishedRun(b"print", ANSWER, 1000))
    assert sum(keys.begin(scope) is None for scope in scopes) == 1


@pytest.mark.parametrize(("refs", "kept"), [(["con_1"], False), (["con_2"], True), (None, False)])
def test_an_answer_goes_with_what_it_rests_on_and_is_not_done_twice(refs: list[str] | None, *, kept: bool) -> None:
    """That it was done, and what was asked, stays known."""
    keys = Idempotency()
    keys.begin(SCOPE)
    keys.end(SCOPE, FinishedRun(b"print", ANSWER, 2), ["api_1", "con_1"])
    keys.changed(refs)
    assert keys.begin(SCOPE) == (FinishedRun(b"print", ANSWER, 2) if kept else FinishedRun(b"print", None))


@pytest.mark.parametrize(("refs", "kept"), [(["con_1"], False), (["con_2"], True), (None, False)])
def test_an_answer_that_came_while_its_connection_changed_is_not_kept(refs: list[str] | None, *, kept: bool) -> None:
    """It may be the old account's; a change before the run began does not count."""
    keys, other = Idempotency(), Scope("key_2", b"a")
    keys.begin(other)
    keys.changed(["con_1"])
    keys.begin(SCOPE)
    keys.changed(["con_3"])
    keys.changed(refs)
    keys.end(SCOPE, FinishedRun(b"print", ANSWER, 2), ["con_1"])
    assert keys.begin(SCOPE) == (FinishedRun(b"print", ANSWER, 2) if kept else FinishedRun(b"print", None))


def test_a_run_during_more_changes_than_are_remembered_keeps_nothing() -> None:
    """Nobody knows which they were; the last run that ends forgets them."""
    keys = Idempotency()
    keys.begin(SCOPE)
    for _ in range(CHANGES_MOST + 1):
        keys.changed(["con_2"])
    keys.end(SCOPE, FinishedRun(b"print", ANSWER, 2), ["con_1"])
    assert keys.begin(SCOPE) == FinishedRun(b"print", None)
    assert not keys._meanwhile


def test_providers_never_see_two_tenants_under_one_key() -> None:
    """The key that is sent on is made of whose it is, too."""
    whose = [Scope(app_key, key) for app_key in ("key_1", "key_2") for key in (b"a", b"b")]
    sent = {scope.sent_as(api, call) for scope in whose for api in ("x", "y") for call in ("c", "d")}
    assert len(sent) == 16
    assert {len(bytes.fromhex(key)) for key in sent} == {20}
    assert Scope("key_1", b"a").sent_as("x", "c") == Scope("key_1", b"a").sent_as("x", "c")
    assert Scope("key_1", b"a").sent_as("xc", "") != Scope("key_1", b"a").sent_as("x", "c")


ASK = Watched("api", "live", "ask")


def test_drift_is_counted_by_call_and_place() -> None:
    """Until it is taken."""
    drifts = Drifts()
    drifts.note(ASK, [Drift("id", "type", 2, "integer", "text"), Drift("x", "new", 1)])
    drifts.note(ASK, [Drift("id", "type", 1, "integer", "boolean")])
    taken = drifts.taken()
    assert {each.path: (each.count, each.found) for each in taken} == {"id": (3, "boolean"), "x": (1, "")}
    assert drifts.taken() == []
    drifts.put_back(taken)
    assert drifts.taken() == taken


def test_drift_has_bounds() -> None:
    """An upstream that makes up names fills no memory."""
    drifts = Drifts()
    drifts.note(ASK, [Drift(f"x{number}", "new", 1) for number in range(10 * PLACES_MOST)])
    assert len(drifts.taken()) == PLACES_MOST


def test_values_are_found_by_what_they_rest_on() -> None:
    """And leave nothing behind when they are dropped or evicted."""
    cache: LruCache[str, int] = LruCache(3 * ENTRY_BYTES)
    for name in ("a", "b", "c", "d"):
        cache.put(name, 1, 0, 60, {"api", name})
    assert sorted(cache.tagged({"api"})) == ["b", "c", "d"]
    assert cache.tagged({"a"}) == []
    assert sorted(cache.tagged(None)) == ["b", "c", "d"]
    for name in ("b", "c", "d"):
        cache.drop(name)
    assert cache._tagged == {}
