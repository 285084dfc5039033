"""Properties of the readings of paths, and of decisions over them."""

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.access.tables import small_table
from tieline.access.decide import Allowed, decide
from tieline.access.levels import RANK, Level
from tieline.access.paths import check, normal, readings
from tieline.access.permissions import Mode, Permissions, choices
from tieline.core.errors import InvalidRequest

PIECES = [
    "/", "//", ".", "..", ";", ";x=1", "%2e", "%2E", "%2F", "%2f", "%5c", "%25", "%3B", "%41", "%c3%a4", "%c0%af", "%",
    "%0", "a", "A", "models", "audio", "voices", "stores", "search", "chat", "completions", "\\", "?", " ", "é", "\x00",
]  # fmt: skip
SEGMENTS = [
    "", ".", "..", "a", "A", "models", "audio", "voices", "VOICES", "stores", "search", "chat", "completions", "usage",
    "%73tores", "audio%2Fvoices", "%2Fmodels", "voices;x=1", ";x", "a%3Bb", "%c3%a4", "100%25", "a:b", "a%3Ab", "...",
]  # fmt: skip
wild = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=14).map(lambda pieces: ("/" + "".join(pieces)).encode()),
    st.binary(max_size=40).map(lambda text: b"/" + text),
    st.text(max_size=40).map(str.encode),
)
tame = st.lists(st.sampled_from(SEGMENTS), max_size=6).map(lambda segments: ("/" + "/".join(segments)).encode())
TABLE = small_table()
KNOWN = ["/stores", "/stores/1", "/stores/1/search", "/models/x", "/audio/voices", "/audio/Voices", "/chat/completions"]
METHODS = [b"GET", b"HEAD", b"OPTIONS", b"POST", b"PUT", b"DELETE", b"PROPFIND"]
held = st.fixed_dictionaries({area.name: st.sampled_from(choices(TABLE, area)) for area in TABLE.areas if area.levels})


def passes(path: bytes) -> bool:
    """Whether ``path`` may be sent."""
    try:
        check(path)
    except InvalidRequest:
        return False
    return True


sent = st.one_of(st.sampled_from(KNOWN).map(str.encode), tame, wild).filter(passes)


@given(sent)
def test_what_is_sent_has_no_dot_segment_and_nothing_that_ends_a_line_or_a_path(path: bytes) -> None:
    """In none of its readings."""
    for way in readings(path):
        assert not {b".", b".."} & set(way.split(b"/"))
        assert all(0x20 < byte < 0x7F and byte not in b"\\?#" for byte in way)


@given(sent)
def test_readings_hold_the_path_and_its_normal_form(path: bytes) -> None:
    """They differ, begin with the path itself, may be sent themselves, and have few further ones."""
    ways = readings(path)
    assert ways[0] is path
    assert len(set(ways)) == len(ways) <= 24
    assert normal(path) in ways
    assert all(passes(way) for way in ways)


def may(permissions: Permissions, method: bytes, path: bytes, *, upgrade: bool) -> bool:
    """Whether a key with ``permissions`` may send this."""
    return isinstance(decide(permissions, "x", TABLE, "X", method, path, upgrade=upgrade), Allowed)


def restricted(levels: dict[str, Level]) -> Permissions:
    """A restricted key with ``levels``."""
    return Permissions(Mode.RESTRICTED, {"x": levels})


@given(sent, st.booleans(), held)
def test_more_grants_never_allow_less(plain: bytes, upgrade: bool, some: dict[str, Level]) -> None:
    """Whatever level is raised on whatever area, all that was allowed stays so; a key with all may do it too."""
    raised = [
        restricted({**some, area.name: level})
        for area in TABLE.areas
        for level in area.levels
        if RANK[level] > RANK[some[area.name]]
    ]
    for method in METHODS:
        if may(restricted(some), method, plain, upgrade=upgrade):
            assert all(may(more, method, plain, upgrade=upgrade) for more in [*raised, Permissions()])


@given(sent, st.sampled_from(METHODS), st.booleans())
def test_a_read_only_key_may_do_in_areas_what_read_on_all_of_them_allows(
    plain: bytes, method: bytes, upgrade: bool
) -> None:
    """Read only is read everywhere: what it allows within areas, a key with read on every area may do too."""
    reading = restricted({area.name: Level.READ for area in TABLE.areas if Level.READ in area.levels})
    within = all(
        TABLE.find(method, way, upgrade=upgrade) and TABLE.find_any_case(method, way, upgrade=upgrade)
        for way in readings(plain)
    )
    if within:
        read_only = Permissions(Mode.READ_ONLY)
        assert may(read_only, method, plain, upgrade=upgrade) == may(reading, method, plain, upgrade=upgrade)


@given(sent, st.sampled_from(METHODS), st.booleans(), held)
def test_what_is_allowed_is_allowed_however_it_is_read(
    path: bytes, method: bytes, upgrade: bool, levels: dict[str, Level]
) -> None:
    """A path cannot be written so that one of its readings slips through."""
    if may(restricted(levels), method, path, upgrade=upgrade):
        for way in readings(path):
            match = TABLE.find(method, way, upgrade=upgrade)
            assert match is not None
            assert RANK[levels.get(match.area.name, Level.NONE)] >= RANK[match.level]
