r"""A parameter's pattern, matched in time that grows with the text and never explodes.

Python's ``re`` tries alternatives one after the other and can take exponential time (``(a+)+``); it has no time limit.
RE2 looks at each character once (R. Cox, "Regular Expression Matching Can Be Simple And Fast", 2007). What it cannot do
(back references, looking around, possessive and atomic parts) is refused when a definition is read.

RE2's syntax is Perl's but for that; ``\d``, ``\w``, ``\s`` and ``\b`` know ASCII, ``\p{L}`` and its kin all scripts,
and ``$`` means the very end. The work is at most states x characters, and that product is bounded.
"""

from functools import lru_cache
from typing import Any

MOST_STATES = 10_000
_MOST_STEPS = 50_000_000
_MOST_TEXT = 65_536
_MOST_MEMORY = 1024 * 1024


class Pattern:
    """A pattern that whole texts are held against; ``most`` is the longest text, in characters, that it takes.

    Raises ValueError for what RE2 does not read, or only as a program that is too large.
    """

    __slots__ = ("_program", "most")

    def __init__(self, text: str) -> None:
        self._program = _compiled(text)
        self.most = min(_MOST_TEXT, _MOST_STEPS // self._program.programsize)

    def matches(self, text: str) -> bool:
        """Whether the whole of ``text``, at most ``most`` characters, is what the pattern says."""
        return self._program.fullmatch(text) is not None


@lru_cache(maxsize=256)
def _compiled(text: str) -> Any:
    """The program of a pattern, of at most 1 MiB; the last 256 are kept, as many parameters have the same one."""
    import re2  # noqa: PLC0415 -- a shared library that only processes with patterns need (ADR 25)

    options = re2.Options()
    options.max_mem = _MOST_MEMORY
    options.never_capture = True
    options.log_errors = False
    try:
        program = re2.compile(text, options)
    except re2.error as error:
        reason = error.args[0] if error.args else ""
        words = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        if "too large" in words:
            raise ValueError("is too large to be matched in bounded time; repeat fewer times") from None
        raise ValueError(f"is no regular expression that RE2 reads: {words}") from None
    if program.programsize > MOST_STATES:
        raise ValueError("is too large to be matched in bounded time; repeat fewer times")
    return program
