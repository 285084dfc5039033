"""What a decision says: allowed, or denied and why."""

from dataclasses import dataclass

from tieline.access.levels import Level


@dataclass(frozen=True, slots=True)
class Allowed:
    """The request may go out. ``area`` and ``level`` say what it counts as; both None where no area covers it."""

    area: str | None
    level: Level | None


@dataclass(frozen=True, slots=True)
class Denied:
    """The request stops here.

    ``reason`` is public: what is missing, in the console's words, and what to do. ``param`` names the grant that would
    be enough, such as ``openai:files=write``; None where no grant would do.
    """

    reason: str
    param: str | None
