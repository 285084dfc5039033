"""Whose token a scheme uses: the option ``connections`` of every scheme that a person can sign in to.

``shared`` (unless said): the one that an operator signed in for. ``per_user``: that of the end user whom the request
names. ``per_user_or_shared``: the end user's where there is one, else the shared one.
"""

from collections.abc import Mapping
from typing import Any, Final

OPTION: Final = "connections"
SHARED: Final = "shared"
MODES: Final = (SHARED, "per_user", "per_user_or_shared")


def mode_of(options: Mapping[str, Any]) -> str:
    """The mode of options that ``check_mode`` found nothing wrong with."""
    mode: str = options.get(OPTION, SHARED)
    return mode


def check_mode(options: Mapping[str, Any], *, signs_in: bool) -> list[str]:
    """What is wrong with ``connections``, a sentence each; ``signs_in`` says whether people sign in to the scheme."""
    given = options.get(OPTION, SHARED)
    if given not in MODES:
        return [f"{OPTION}: must be {', '.join(MODES[:-1])} or {MODES[-1]}"]
    if given != SHARED and not signs_in:
        return [f"{OPTION}: only a scheme that people sign in to has tokens of end users; leave it out"]
    return []
