"""A system under test as the measures see it: a name, addresses and processes. Knows no program in particular."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bench.process import BenchError
from bench.upstreams.certificates import Certificates

Door = Literal["calls", "streams", "tls"]


@dataclass(frozen=True, slots=True)
class Upstreams:
    """The ports that a system relays to, and the authority that signed what the TLS one shows."""

    calls: int
    streams: int
    tls: int
    certificates: Certificates


@dataclass(frozen=True, slots=True)
class System:
    """A running system. ``workers`` are the processes that carry the calls, ``others`` those that do not.

    ``doors`` holds the URL of chat completions for each upstream that the system relays to; ``headers`` what a request
    must carry. ``checks_key`` says whether a request with another key is refused,
    ``rewrites`` that answers are made anew, with fields of the system's own.
    """

    name: str
    doors: Mapping[Door, str]
    headers: Mapping[str, str]
    workers: tuple[int, ...]
    others: tuple[int, ...] = ()
    checks_key: bool = True
    rewrites: bool = False

    def door(self, door: Door) -> str:
        """The URL for one upstream. Raises BenchError where the system has none."""
        url = self.doors.get(door)
        if url is None:
            raise BenchError(f"{self.name} has no door for {door}")
        return url


def bearer(key: str) -> dict[str, str]:
    """The headers of a request that shows ``key``."""
    return {"Authorization": f"Bearer {key}"}
