"""``Idempotency-Key`` on calls: what was done once under a key is answered again, not done again.

Keys are an app key's own, and a worker's own: on several workers the same key may be run once in each, which is why the
provider is sent a key too where the call has one. Follows the IETF draft on the field: 409 while it runs, 422 for
another request under the same key. An error is not kept: the next one runs anew. Owns which runs there were; what a
run does is its own matter.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from tieline.core.errors import IdempotencyInProgress, IdempotencyMismatch, InvalidRequest, Overloaded
from tieline.dataplane.calls.lru import ENTRY_BYTES, Shelf
from tieline.dataplane.calls.reply import Written

KEPT_MOST: Final = 32 * 1024 * 1024
KEPT_SECONDS: Final = 24 * 3600.0
RUNNING_MOST: Final = 10_000
KEY_MOST: Final = 255


@dataclass(frozen=True, slots=True)
class Scope:
    """A key and whose it is."""

    app_key: str
    key: bytes

    def sent_as(self, api: str, call: str) -> str:
        """The key that goes to the provider: nobody else's can be the same, though they share the credential."""
        said = b"\0".join((self.app_key.encode(), api.encode(), call.encode(), self.key))
        return hashlib.sha256(said).hexdigest()[:40]


@dataclass(frozen=True, slots=True)
class Done:
    """What was answered under a key, and to what; ``written`` None where it was too large to keep."""

    fingerprint: bytes
    written: Written | None


class Idempotency:
    """The keys of one worker."""

    def __init__(self, most: int = KEPT_MOST) -> None:
        self._done: Shelf[Scope, Done] = Shelf(most)
        self._running: set[Scope] = set()

    def begin(self, scope: Scope) -> Done | None:
        """What was done under the key, for ``replayed`` to judge; None: do it, and ``end`` it.

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
            self._running.add(scope)
        return done

    def end(self, scope: Scope, done: Done | None) -> None:
        """The run is over; None where its outcome is not kept, so that the next one does it anew."""
        self._running.discard(scope)
        if done is not None:
            body = len(done.written.body) if done.written is not None else 0
            self._done.put(scope, done, body + ENTRY_BYTES, KEPT_SECONDS)


def replayed(done: Done, fingerprint: bytes) -> Written:
    """The answer that was given. Raises IdempotencyMismatch where another request was answered, or it was not kept."""
    if done.fingerprint != fingerprint:
        raise IdempotencyMismatch(
            "This Idempotency-Key was used for another call, other parameters or another end user, or before the API "
            "was changed. Use a new key for each.",
            param="Idempotency-Key",
        )
    if done.written is None:
        raise IdempotencyMismatch(
            "This call was run under this Idempotency-Key, and its answer was too large to be kept. Use a new key to "
            "run it again.",
            param="Idempotency-Key",
        )
    return done.written
