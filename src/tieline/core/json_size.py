"""What a JSON text holds, counted before anything is built of it: its members, values and containers.

Only marks outside strings count. The text is gone through in slices, between which other threads may run; each step is
linear, whatever the text is.
"""

import re
from dataclasses import dataclass
from typing import Final

from tieline.core.slices import count

_SLICE: Final = 256 * 1024
_NOT_BRACKETS: Final = re.compile(r"[^\[\]{}]+")

_OF_LISTS: Final = str.maketrans("{}", "[]")  # which of the two closes is for the reader to see


@dataclass(slots=True)
class JsonSize:
    """How many members of objects, objects and lists, and values beside the first of each there are.

    ``brackets`` are the brackets in their order, as long as they are few enough to be kept.
    """

    members: int = 0
    containers: int = 0
    separators: int = 0
    brackets: str = ""

    def is_deeper_than(self, most: int) -> bool:
        """Whether something nests deeper than ``most`` levels, or is not closed."""
        if self.containers <= most:
            return False
        brackets = self.brackets.translate(_OF_LISTS)
        for _ in range(most):  # each time the innermost level goes
            brackets = brackets.replace("[]", "")
        return bool(brackets)


def is_small(text: str, *, members: int, containers: int, separators: int) -> bool:
    """Whether ``text`` cannot hold more than that, marks in its strings counted too: mostly that settles it."""
    return (
        count(text, ",") <= separators
        and count(text, ":") <= members
        and count(text, "[") + count(text, "{") <= containers
    )


def size_of(text: str, *, brackets: int = 0) -> JsonSize:
    """Count what ``text`` holds; at most so many ``brackets`` are kept."""
    size = JsonSize()
    inside = False
    start = 0
    while start < len(text):
        end = start + _SLICE
        while end < len(text) and text[end - 1] == "\\":  # an escape is not cut
            end += 1
        end += 1
        parts = text[start:end].replace("\\\\", "").replace('\\"', "").split('"')
        outside = "".join(parts[int(inside) :: 2])
        inside ^= len(parts) % 2 == 0
        size.members += outside.count(":")
        size.separators += outside.count(",")
        size.containers += outside.count("[") + outside.count("{")
        if len(size.brackets) < brackets:
            size.brackets += _NOT_BRACKETS.sub("", outside)
        start = end
    return size
