"""Answers are kept within bounds, and what was done under a key is answered again."""

import pytest

from tieline.core.errors import IdempotencyInProgress, IdempotencyMismatch, InvalidRequest
from tieline.dataplane.calls.drift import PLACES_MOST, Drifts, Watched
from tieline.dataplane.calls.idempotency import Done, Idempotency, Scope, recorded_for
from tieline.dataplane.calls.lru import ENTRY_BYTES, LruCache
from tieline.dataplane.calls.results import Whole
from tieline.definitions.infer.drift import Drift

ANSWER = Whole(b"{}")


def test_the_longest_unused_is_given_up() -> None:
    """When everything together would be too large."""
    shelf: LruCache[str, int] = LruCache(3 * ENTRY_BYTES)
    for name in ("a", "b", "c"):
        shelf.put(name, 1, 0, 60)
    shelf.get("a")
    shelf.put("d", 1, 0, 60)
    assert [name for name in ("a", "b", "c", "d") if shelf.get(name)] == ["a", "c", "d"]


def test_sizes_add_up() -> None:
    """Also where something is put twice, dropped, or too large to be kept at all."""
    shelf: LruCache[str, int] = LruCache(10_000)
    shelf.put("a", 1, 100, 60)
    shelf.put("a", 1, 200, 60)
    shelf.put("b", 1, 20_000, 60)
    assert (len(shelf), shelf.size) == (1, 200 + ENTRY_BYTES)
    shelf.drop("a")
    assert (len(shelf), shelf.size) == (0, 0)


def test_what_is_too_old_is_not_found() -> None:
    """Its time is over."""
    shelf: LruCache[str, int] = LruCache(10_000)
    shelf.put("a", 1, 0, 0)
    assert shelf.get("a") is None


def test_a_key_is_run_once_at_a_time() -> None:
    """The second caller is told that it is still running."""
    keys, scope = Idempotency(), Scope("key_1", b"a")
    assert keys.begin(scope) is None
    with pytest.raises(IdempotencyInProgress):
        keys.begin(scope)
    assert keys.begin(Scope("key_2", b"a")) is None


def test_what_was_answered_is_answered_again() -> None:
    """To the same request only."""
    keys, scope = Idempotency(), Scope("key_1", b"a")
    keys.begin(scope)
    keys.end(scope, Done(b"print", ANSWER))
    done = keys.begin(scope)
    assert done is not None
    assert recorded_for(done, b"print") is ANSWER
    with pytest.raises(IdempotencyMismatch):
        recorded_for(done, b"another")


def test_what_failed_runs_anew() -> None:
    """Nothing is kept of it."""
    keys, scope = Idempotency(), Scope("key_1", b"a")
    keys.begin(scope)
    keys.end(scope, None)
    assert keys.begin(scope) is None


def test_an_answer_too_large_to_keep_is_not_done_twice() -> None:
    """The caller is told why it cannot be repeated."""
    with pytest.raises(IdempotencyMismatch, match="too large"):
        recorded_for(Done(b"print", None), b"print")


@pytest.mark.parametrize("key", [b"", b"x" * 256])
def test_a_key_has_bounds(key: bytes) -> None:
    """It is text of up to 255 characters."""
    with pytest.raises(InvalidRequest):
        Idempotency().begin(Scope("key_1", key))


def test_providers_never_see_two_tenants_under_one_key() -> None:
    """The key that is sent on is made of whose it is, too."""
    whose = [Scope(app_key, key) for app_key in ("key_1", "key_2") for key in (b"a", b"b")]
    sent = {scope.sent_as(api, call) for scope in whose for api in ("x", "y") for call in ("c", "d")}
    assert len(sent) == 16


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
