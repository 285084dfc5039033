"""RequestLimits as operators set them on a key, an app or an API: how much at once and over time, and which models.

Knows what a limit may be and what it is called. Counts nothing: the data plane does (``dataplane.limits``).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final, Literal, cast, get_args

from tieline.core.errors import InvalidInput

Per = Literal["second", "minute", "hour", "day"]
PERIODS: Final[Mapping[Per, int]] = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
"""Seconds of each."""

UNITS_MOST: Final = 1_000_000_000
RATES_MOST: Final = 8
CONCURRENT_MOST: Final = 1_000_000
BODY_MOST: Final = 1 << 40
MODELS_MOST: Final = 64
MODEL_LENGTH: Final = 200
_NUMBERS: Final = {
    "tokens_per_minute": UNITS_MOST,
    "concurrent": CONCURRENT_MOST,
    "streams": CONCURRENT_MOST,
    "body": BODY_MOST,
}
_MEMBERS: Final = ("rates", *_NUMBERS, "per_address")


@dataclass(frozen=True, slots=True)
class RequestRate:
    """``requests`` for each ``per``: as many at once after a rest, then evenly spread."""

    requests: int
    per: Per

    def to_json(self) -> dict[str, Any]:
        """The form that ``RequestLimits.from_json`` reads."""
        return {"requests": self.requests, "per": self.per}

    def __str__(self) -> str:
        return f"{_counted(self.requests, 'request')} {'an' if self.per == 'hour' else 'a'} {self.per}"


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """All limits of one key, app or API; None and empty mean no limit.

    ``tokens_per_minute`` counts input and output tokens; ``concurrent`` requests at once, ``streams`` among them those
    that are answered by a stream; ``body`` bytes of a request's body; ``per_address`` holds for each client address
    (an IPv6 address by its /64).
    """

    rates: tuple[RequestRate, ...] = ()
    tokens_per_minute: int | None = None
    concurrent: int | None = None
    streams: int | None = None
    body: int | None = None
    per_address: RequestRate | None = None

    @classmethod
    def from_json(cls, value: object, where: str = "limits") -> "RequestLimits":
        """Read ``{"rates": [{"requests": 60, "per": "minute"}], "concurrent": 4}``, as contract.md §5 has it.

        Raises InvalidInput, which names the member below ``where`` and what it may be.
        """
        if not isinstance(value, dict):
            raise InvalidInput(f'{where} is an object such as {{"concurrent": 4}}.', param=where)
        for name in value:
            if name not in _MEMBERS:
                raise InvalidInput(f'{where} has no "{name}". It has {", ".join(_MEMBERS)}.', param=where)
        numbers = {name: _number(value.get(name), most, f"{where}.{name}") for name, most in _NUMBERS.items()}
        address = value.get("per_address")
        return cls(
            rates=_rates(value.get("rates"), f"{where}.rates"),
            per_address=None if address is None else _rate(address, f"{where}.per_address"),
            **numbers,
        )

    def to_json(self) -> dict[str, Any]:
        """The form that ``from_json`` reads back; only what is limited."""
        found: dict[str, Any] = {"rates": [rate.to_json() for rate in self.rates]} if self.rates else {}
        found |= {name: getattr(self, name) for name in _NUMBERS if getattr(self, name) is not None}
        return found if self.per_address is None else {**found, "per_address": self.per_address.to_json()}

    def __bool__(self) -> bool:
        return self != UNLIMITED

    def sentences(self) -> Iterator[str]:
        """Each limit in words, such as "60 requests a minute"."""
        yield from map(str, self.rates)
        for name in _NUMBERS:
            if getattr(self, name) is not None:
                yield words(name, getattr(self, name))
        if self.per_address is not None:
            yield f"{self.per_address} from each address"


_WORDS: Final = {
    "tokens_per_minute": ("token", " a minute"),
    "concurrent": ("request", " at once"),
    "streams": ("stream", " at once"),
    "body": ("byte", " of a body"),
}
UNLIMITED: Final = RequestLimits()


def words(name: str, number: int) -> str:
    """A limit that is one number in words: ``words("concurrent", 4)`` is "4 requests at once"."""
    noun, rest = _WORDS[name]
    return _counted(number, noun) + rest


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def checked_models(globs: Sequence[str]) -> tuple[str, ...]:
    """``globs`` if they can be a key's list of models: names in which ``*`` and ``?`` stand for what may differ.

    Raises InvalidInput, which names the position.
    """
    if len(globs) > MODELS_MOST:
        raise InvalidInput(f"models may name at most {MODELS_MOST} patterns.", param="models")
    for position, glob in enumerate(globs):
        if not (0 < len(glob) <= MODEL_LENGTH and glob.isprintable() and not any(sign in glob for sign in "[] ")):
            raise InvalidInput(
                f"models[{position}] is no pattern for names of models. Write a name such as gpt-4.1-mini, with * for "
                f"what may differ, such as gpt-4.1*; at most {MODEL_LENGTH} characters, without blanks and brackets.",
                param=f"models[{position}]",
            )
    return tuple(dict.fromkeys(globs))


def allows_model(globs: Sequence[str], model: str) -> bool:
    """Whether a key with this list may use ``model``. Upper and lower case differ, as they do in names of models."""
    return any(fnmatchcase(model, glob) for glob in globs)


def _rates(value: object, where: str) -> tuple[RequestRate, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > RATES_MOST:
        msg = f'{where} is a list of at most {RATES_MOST} rates such as {{"requests": 60, "per": "minute"}}.'
        raise InvalidInput(msg, param=where)
    rates = tuple(_rate(each, f"{where}[{position}]") for position, each in enumerate(value))
    if len({rate.per for rate in rates}) < len(rates):
        raise InvalidInput(f"{where} names a period twice. Keep the lower of the two.", param=where)
    return rates


def _rate(value: object, where: str) -> RequestRate:
    if not isinstance(value, dict) or set(value) != {"requests", "per"} or value["per"] not in get_args(Per):
        choices = ", ".join(PERIODS)
        msg = f'{where} is {{"requests": 60, "per": "minute"}}, with one of {choices} for "per".'
        raise InvalidInput(msg, param=where)
    requests = _number(value["requests"], UNITS_MOST, f"{where}.requests")
    if requests is None:
        raise InvalidInput(f"{where}.requests is missing: a number from 1 on.", param=f"{where}.requests")
    return RequestRate(requests, cast("Per", value["per"]))


def _number(value: object, most: int, where: str) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        msg = f"{where} is a whole number from 1 to {most}. Leave it out for no limit."
        raise InvalidInput(msg, param=where)
    return value
