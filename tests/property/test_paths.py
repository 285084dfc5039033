"""Properties of the normal form of paths, and of decisions over them."""

from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.access.tables import small_table
from tieline.access.decide import Allowed, decide
from tieline.access.levels import RANK, Level
from tieline.access.paths import normalise, readings
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


def normal_or_none(path: bytes) -> bytes | None:
    """The normal form of ``path``, or None where it is refused."""
    try:
        return normalise(path)
    except InvalidRequest:
        return None


normal = (
    st.one_of(st.sampled_from(KNOWN).map(str.encode), tame, wild)
    .map(normal_or_none)
    .filter(lambda path: path is not None)
)


@given(wild)
@example(b"/%2525%32%65/")
@example(b"/a/%25%2532%65%252e/b")
def test_a_path_is_refused_or_has_a_normal_form_that_is_its_own(path: bytes) -> None:
    """Any bytes; normalising twice is normalising once, and the second time copies nothing."""
    once = normal_or_none(path)
    assert once is None or normalise(once) is once


@given(wild | tame)
def test_a_normal_path_has_no_dot_segment_and_no_empty_one(path: bytes) -> None:
    """Nor a byte that could end a line or a path."""
    plain = normal_or_none(path) or b""
    segments = plain.split(b"/")
    assert segments[0] == b""
    assert b"" not in segments[1:-1]
    assert not {b".", b".."} & set(segments)
    assert all(0x20 < byte < 0x7F and byte not in b"\\?#" for byte in plain)


@given(normal)
def test_every_reading_is_normal_itself(plain: bytes) -> None:
    """Readings never fail on a normal path, are in normal form, differ, and begin with the path."""
    ways = readings(plain)
    assert ways[0] is plain
    assert len(set(ways)) == len(ways)
    assert all(normalise(way) is way for way in ways)


def may(permissions: Permissions, method: bytes, path: bytes, *, upgrade: bool) -> bool:
    """Whether a key with ``permissions`` may send this."""
    return isinstance(decide(permissions, "x", TABLE, "X", method, path, upgrade=upgrade), Allowed)


def restricted(levels: dict[str, Level]) -> Permissions:
    """A restricted key with ``levels``."""
    return Permissions(Mode.RESTRICTED, {"x": levels})


@given(normal, st.booleans(), held)
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


@given(normal, st.sampled_from(METHODS), st.booleans())
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


@given(normal, st.sampled_from(METHODS), held)
def test_a_detour_changes_nothing(plain: bytes, method: bytes, levels: dict[str, Level]) -> None:
    """A path that wanders and comes back is the path it comes back to."""
    detour = normalise(b"/audio/./..//" + plain)
    assert detour == (plain or b"/")
    assert decide(restricted(levels), "x", TABLE, "X", method, detour) == decide(
        restricted(levels), "x", TABLE, "X", method, plain or b"/"
    )
