"""What an answer says of the secret that its request went out with: stale, challenged, or nothing.

Follows the option ``renew_on`` of schemes with a lifetime, and the challenges of those that listen (RFC 9110 section
11.6.1). Head first; the body, decoded, only where ``renew_on`` asks for it and an answer with that head may have it.
"""

from dataclasses import dataclass
from typing import Protocol

from tieline.core.errors import UpstreamError
from tieline.dataplane.answers.content_coding import coding
from tieline.dataplane.attempt.prepare import Prepared
from tieline.dataplane.snapshot.plan import Plan
from tieline.definitions.getters import getter
from tieline.schemes.base import Headers
from tieline.schemes.flow import Renewal
from tieline.schemes.signal import BODY_MOST


class AnswerHead(Protocol):
    """An answer whose head is here, as the attempt loop and its judge see it."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Headers: ...

    async def peek(self, most: int) -> bytes | None:
        """The whole body as it came, which can be read again afterwards; None where it has more than ``most`` bytes.

        Raises UpstreamError where it ends before it is whole; whoever reads the answer then meets that too.
        """
        ...

    def close(self) -> None:
        """Nobody reads it: an answer that is not whole is cut, the connection of a whole one is kept."""
        ...


@dataclass(frozen=True, slots=True)
class Verdict:
    """``stale``: the tokens that were sent are no good. ``challenged``: the same request, prepared anew, may be."""

    stale: bool = False
    challenged: bool = False


NOTHING = Verdict()


def is_judged(plan: Plan) -> bool:
    """Whether any answer may say something of the secret."""
    return any(isinstance(each, Renewal) or each.listens for each in plan.auth)


async def judge(plan: Plan, sent: Prepared, answer: AnswerHead) -> Verdict:
    """What ``answer`` says of the secret in ``sent``."""
    challenged = stale = False
    unsure: list[Renewal] = []
    for each, applier in zip(plan.auth, sent.auth, strict=True):
        if applier.listens and applier.answered(sent.headers, answer.status, answer.headers):
            challenged = True
        if isinstance(each, Renewal) and each.signal.fits_head(answer.status, answer.headers):
            if each.signal.body is None:
                stale = True
            else:
                unsure.append(each)
    if unsure and not stale:
        stale = await _says_stale(answer, unsure)
    return Verdict(stale, challenged) if stale or challenged else NOTHING


async def _says_stale(answer: AnswerHead, unsure: list[Renewal]) -> bool:
    try:
        body = await answer.peek(BODY_MOST)
        if body is None:
            return False
        undo = coding(answer.headers, BODY_MOST)
        plain = body if undo is None else undo.feed(body)
    except UpstreamError:
        return False
    return any(each.signal.fits_body(plain, lambda path, value: getter(path)(value)) for each in unsure)
