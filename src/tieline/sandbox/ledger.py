"""What the sandbox would charge: a line for each answer that cost something, written as the answer goes out.

For tests that compare what a gateway counted with what its provider did. Reads no answer back: whoever makes one says
what it uses, and notes each piece once it was sent. Knows no endpoint.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from starlette.requests import Request

MARK: Final = "x-sandbox-mark"
"""A request's field whose value its line repeats."""
LINES_MOST: Final = 100_000
_MARK_MOST: Final = 64


@dataclass(slots=True)
class Charge:
    """One answer. ``used`` is what it uses when it is whole; ``told``: that was handed out.

    ``events`` and ``text_bytes`` are the events that held text and the bytes of that text, as far as they were sent;
    ``asked_bytes`` is the size of the request's body.
    """

    number: int
    shape: str
    model: str
    mark: str
    asked_bytes: int
    used: Mapping[str, int]
    told: bool = False
    events: int = 0
    text_bytes: int = 0
    input_told: bool = False

    def sent(self, text: str, *, told: bool = False, input_told: bool = False) -> None:
        """A piece went out: with ``text``, with all figures, or with those of the input alone."""
        self.events += bool(text)
        self.text_bytes += len(text.encode())
        self.told = self.told or told
        self.input_told = self.input_told or input_told or told


@dataclass(slots=True)
class Ledger:
    """The lines since the start, the newest ``LINES_MOST`` of them."""

    lines: deque[Charge] = field(default_factory=lambda: deque(maxlen=LINES_MOST))
    count: int = 0

    def charge(self, request: Request, shape: str, model: str, used: Mapping[str, int], *, told: bool) -> Charge:
        """Begin a line; ``told`` where the answer goes out whole, with its figures."""
        self.count += 1
        body: bytes = getattr(request.state, "body", None) or b""
        mark = request.headers.get(MARK, "")[:_MARK_MOST]
        line = Charge(self.count, shape, model, mark, len(body), dict(used), told, input_told=told)
        self.lines.append(line)
        return line

    def shown(self, after: int, most: int) -> dict[str, Any]:
        """Lines with a higher number than ``after`` as JSON for ``GET /sandbox/ledger``."""
        found = [asdict(line) for line in self.lines if line.number > after][:most]
        return {"items": found, "next": found[-1]["number"] if len(found) == most else None}
