"""A small API for the tests of access: a parent with two children, a read-only area, and reads by POST."""

from tieline.access.areas import Area, AreaTable, parse_rule
from tieline.access.levels import Level

BOTH = (Level.READ, Level.WRITE)


def area(name: str, levels: tuple[Level, ...], *rules: str, parent: str | None = None) -> Area:
    """An area whose title is its name with a capital."""
    return Area(name, name.replace("_", " ").capitalize(), levels, parent, tuple(parse_rule(rule) for rule in rules))


def small_table() -> AreaTable:
    """The table most tests use."""
    return AreaTable(
        [
            area("models", (Level.READ,), "GET /models", "GET /models/*"),
            area("model_capabilities", ()),
            area("chat", (Level.REQUEST,), "* /chat/completions", "* /chat/completions/*", parent="model_capabilities"),
            area("responses", BOTH, "* /responses", "* /responses/*", parent="model_capabilities"),
            area("audio", (Level.REQUEST,), "* /audio/*"),
            area("voices", BOTH, "* /audio/voices", "* /audio/voices/*"),
            area("tuning", BOTH, "* /tuning/*", "DELETE /models/*"),
            area("stores", BOTH, "* /stores", "* /stores/*", "POST /stores/{id}/search = read"),
            area("usage", (Level.READ,), "* /usage/*"),
        ]
    )
