"""What an answer's fields say of limits: ``RateLimit-Policy``, ``RateLimit``, and ``x-ratelimit-*-requests``.

Sources: draft-ietf-httpapi-ratelimit-headers-11; the OpenAI API reference, "Rate limits in headers". Only limits of the
key and its app are told to everybody who holds the key: those of an API are shared with others.
"""

from collections.abc import Sequence
from typing import Final

from tieline.dataplane.limits.bounds import RateBound
from tieline.dataplane.limits.gcra import MICROSECONDS
from tieline.dataplane.limits.held import Left

_MILLISECOND: Final = 1000
_MINUTE_MS: Final = 60_000
_HOUR_MS: Final = 3_600_000


def fields_of(left: Sequence[Left], *, openai: bool = True) -> bytes:
    """Header lines, each with its end, that tell what is ``left``; with ``openai`` those that its SDKs know too.

    These are left out beside an upstream's answer that has such itself.
    """
    policies: list[str] = []
    states: list[str] = []
    rates: list[tuple[Left, RateBound]] = []
    for each in left:
        bound = each.bound
        if bound.owner == "API":
            continue
        policies.append(bound.declared)
        if isinstance(bound, RateBound):
            states.append(f'"{bound.policy}";r={each.remaining};t={-(-_wait(each, bound) // MICROSECONDS)}')
            if not bound.tokens:
                rates.append((each, bound))
        else:
            states.append(f'"{bound.policy}";r={each.remaining}')
    if not policies:
        return b""
    lines = f"ratelimit-policy: {', '.join(policies)}\r\nratelimit: {', '.join(states)}\r\n"
    return (lines + _openai(rates) if openai and rates else lines).encode()


def _wait(left: Left, bound: RateBound) -> int:
    """Where nothing is left, when something is again, as ``Retry-After`` says; else when all of it is."""
    if left.remaining:
        return left.reset
    one = -(-bound.rate.period // bound.rate.units)
    return max(0, left.reset - (bound.rate.period - one))


def _openai(rates: Sequence[tuple[Left, RateBound]]) -> str:
    """The fields of the rate of requests of which the smallest part is left."""
    left, bound = rates[0] if len(rates) == 1 else min(rates, key=lambda pair: pair[0].remaining / pair[1].rate.units)
    return (
        f"x-ratelimit-limit-requests: {bound.rate.units}\r\n"
        f"x-ratelimit-remaining-requests: {left.remaining}\r\n"
        f"x-ratelimit-reset-requests: {_duration(left.reset)}\r\n"
    )


def _duration(micros: int) -> str:
    """``micros`` as OpenAI writes it: ``12ms``, ``1.5s``, ``6m0s``, ``2h0m5s``; rounded up to a millisecond."""
    whole = -(-micros // _MILLISECOND)
    if whole < _MILLISECOND:
        return f"{whole}ms"
    hours, rest = divmod(whole, _HOUR_MS)
    minutes, rest = divmod(rest, _MINUTE_MS)
    seconds, thousandths = divmod(rest, _MILLISECOND)
    fraction = f".{thousandths:03}".rstrip("0") if thousandths else ""
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + f"{seconds}{fraction}s"
