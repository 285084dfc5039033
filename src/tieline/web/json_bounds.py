"""How many members a JSON body may have: found out from its bytes, before anything is built of it.

A member costs its reader some hundred times the bytes that it costs its sender. Owns the bounds; knows no route.
"""

import re

MEMBERS_MOST = 100_000
WIDTH_MOST = 10_000
_STEP = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{},]', re.DOTALL)


def has_too_many_members(body: bytes) -> bool:
    """Whether ``body`` has more than 100,000 members in all, or more than 10,000 in one list or object.

    The work is linear in the bytes and ends where a bound is passed. What is no JSON is counted all the same.
    """
    if body.count(b",") < WIDTH_MOST:
        return False
    total = 0
    widths = [0]
    for step in _STEP.finditer(body):
        mark = step[0]
        if mark == b",":
            total += 1
            widths[-1] += 1
            if total >= MEMBERS_MOST or widths[-1] >= WIDTH_MOST:
                return True
        elif mark in {b"[", b"{"}:
            widths.append(0)
        elif mark in {b"]", b"}"} and len(widths) > 1:
            widths.pop()
    return False
