"""``Idempotency-Key`` on calls: what was done once under a key is answered again, not done again.

Keys are an app key's own, and a worker's own: on several workers the same key may be run once in each, which is why the
provider is sent a key too where the call has one. Follows the IETF draft on the field: 409 while it runs, 422 for
another request under the same key. What makes a request another one is all that decides whose answer it is: the call in
its revision, environment and credential, the end user, and the arguments; an answer is given as long as the connection
that it was got with is of the same account, whichever of its tokens is the newest. An error is not kept, nor is a
stream that failed: the next one runs anew. Owns the list of runs and when one is dropped from it; ``run`` runs them.
"""

import hashlib
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from tieline.core.errors import IdempotencyInProgress, IdempotencyMismatch, InvalidRequest, Overloaded
from tieline.dataplane.calls.lru import ENTRY_BYTES, LruCache
from tieline.dataplane.calls.recording import Recorded

KEPT_MOST: Final = 32 * 1024 * 1024
KEPT_SECONDS: Final = 24 * 3600.0
RUNNING_MOST: Final = 10_000
KEY_MOST: Final = 255
CHANGES_MOST: Final = 1_000


@dataclass(frozen=True, slots=True)
class Scope:
    """An idempotency key, and the id of the app key that sent it."""

    app_key: str
    key: bytes

    def sent_as(self, api: str, call: str) -> str:
        """The key that goes to the provider: nobody else's can be the same, though they share the credential."""
        said = b"\0".join((self.app_key.encode(), api.encode(), call.encode(), self.key))
        return hashlib.sha256(said).hexdigest()[:40]


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """What was answered under a key, and to what; ``recorded`` None where it is not kept, ``size`` its bytes."""

    fingerprint: bytes
    recorded: Recorded | None
    size: int = 0


class Idempotency:
    """The keys of one worker.

    A run that is under way has the number of changes that had been told when it began: an answer that came meanwhile
    may be the old account's.
    """

    def __init__(self, most: int = KEPT_MOST) -> None:
        self._done: LruCache[Scope, FinishedRun] = LruCache(most)
        self._running: dict[Scope, int] = {}
        self._told = 0
        self._meanwhile: deque[Collection[str] | None] = deque(maxlen=CHANGES_MOST)  # since the first that runs

    def begin(self, scope: Scope) -> FinishedRun | None:
        """What was done under the key, for ``recorded_for`` to judge; None: do it, and ``end`` it.

        Raises:
            IdempotencyInProgress: it is being done.
            Overloaded: more runs under keys are under way than a worker takes.
            InvalidRequest: the key is none.
        """
        if not 0 < len(scope.key) <= KEY_MOST:
            raise InvalidRequest(f"Idempotency-Key must have 1 to {KEY_MOST} characters.", param="Idempotency-Key")
        if len(self._running) >= RUNNING_MOST:
            raise Overloaded("Too many calls with an Idempotency-Key are running. Try again.", retry_after=1)
        if scope in self._running:
            raise IdempotencyInProgress(
                "A call with this Idempotency-Key is still running. Wait for its answer.", retry_after=1
            )
        done = self._done.get(scope)
        if done is None:
            self._running[scope] = self._told
        return done

    def end(self, scope: Scope, done: FinishedRun | None, rests_on: Collection[str] = ()) -> None:
        """The run is over; None where its outcome is not kept, so that the next one does it anew.

        ``rests_on`` are the ids of the API and of the connections that it was done with.
        """
        began = self._running.pop(scope, self._told)
        if done is not None:
            if self._has_changed(rests_on, self._told - began):
                done = replace(done, recorded=None, size=0)
            self._done.put(scope, done, done.size + ENTRY_BYTES, KEPT_SECONDS, rests_on)
        if not self._running:
            self._meanwhile.clear()

    def changed(self, refs: Collection[str] | None) -> None:
        """APIs and connections with these ids are not what they were (None: nobody knows which): drop their answers.

        That it was done stays known, so that it is not done twice.
        """
        if self._running:
            self._told += 1
            self._meanwhile.append(refs)
        for scope in self._done.tagged(refs):
            done = self._done.get(scope)
            if done is not None:
                self._done.put(scope, replace(done, recorded=None, size=0), ENTRY_BYTES, KEPT_SECONDS)

    def _has_changed(self, rests_on: Collection[str], times: int) -> bool:
        """Whether one of the last ``times`` changes was of one of these, as far as they are remembered."""
        if times > len(self._meanwhile):
            return True
        return any(
            refs is None or not set(rests_on).isdisjoint(refs) for refs in islice(reversed(self._meanwhile), times)
        )


def recorded_for(done: FinishedRun, fingerprint: bytes) -> Recorded:
    """What was answered. Raises IdempotencyMismatch where that was to another request, or it is not kept."""
    if done.fingerprint != fingerprint:
        raise IdempotencyMismatch(
            "This Idempotency-Key was used for another call, other parameters or another end user, or before the API "
            "was changed. Use a new key for each.",
            param="Idempotency-Key",
        )
    if done.recorded is None:
        raise IdempotencyMismatch(
            "This call was run under this Idempotency-Key, and its answer was too large to be kept, or the connection "
            "that it used has changed. Use a new key to run it again.",
            param="Idempotency-Key",
        )
    return done.recorded
