"""The decision."""

from typing import Unpack

import pytest

from tests.unit.access.tables import small_table
from tieline.access.areas import Area, AreaTable, parse_rule
from tieline.access.decide import Allowed, Denied, Traits, decide
from tieline.access.levels import Level
from tieline.access.permissions import Mode, Permissions
from tieline.core.errors import InvalidRequest

READ, WRITE, REQUEST = Level.READ, Level.WRITE, Level.REQUEST
TABLE = small_table()
ALL = Permissions()
READ_ONLY = Permissions(Mode.READ_ONLY)


def restricted(**levels: Level) -> Permissions:
    """A restricted key with ``levels`` on the API."""
    return Permissions(Mode.RESTRICTED, {"openai": levels})


def asked(permissions: Permissions, request_line: str, **what: Unpack[Traits]) -> Allowed | Denied:
    """The decision on a request line."""
    method, path = request_line.split(" ")
    return decide(permissions, "openai", TABLE, "OpenAI", method.encode(), path.encode(), **what)


def allowed(verdict: Allowed | Denied) -> bool:
    """Whether it is a yes."""
    return isinstance(verdict, Allowed)


@pytest.mark.parametrize(
    ("request_line", "expected"),
    [
        ("POST /chat/completions", Allowed("chat", REQUEST)),
        ("DELETE /stores/1", Allowed("stores", WRITE)),
        ("POST /nothing", Allowed(None, None)),
        ("POST /Audio;x/voices%2F1", Allowed(None, None)),
    ],
)
def test_all_allows_every_operation_and_says_what_it_counts_as(request_line: str, expected: Allowed) -> None:
    """Covered by an area or not."""
    assert asked(ALL, request_line) == expected


@pytest.mark.parametrize(
    ("request_line", "expected"),
    [
        ("GET /stores/1", True),
        ("POST /stores/1/search", True),
        ("POST /stores/1", False),
        ("GET /chat/completions", False),
        ("GET /nothing", True),
        ("HEAD /nothing", True),
        ("OPTIONS /nothing", False),
        ("POST /nothing", False),
        ("GET /Audio/x", False),
        ("GET /chat%2Fcompletions", False),
        ("GET /chat;a=1/completions", False),
    ],
)
def test_read_only_allows_what_is_classed_as_read(request_line: str, expected: bool) -> None:
    """In every area, and beside them GET and HEAD; a request-only area is never read, however its path is written."""
    assert allowed(asked(READ_ONLY, request_line)) is expected


@pytest.mark.parametrize(
    ("permissions", "request_line", "expected"),
    [
        (restricted(), "GET /stores", False),
        (Permissions(Mode.RESTRICTED), "GET /stores", False),
        (Permissions(Mode.RESTRICTED, {"other": {"stores": WRITE}}), "GET /stores", False),
        (restricted(stores=READ), "GET /stores", True),
        (restricted(stores=READ), "POST /stores", False),
        (restricted(stores=WRITE), "GET /stores", True),
        (restricted(stores=WRITE), "POST /stores", True),
        (restricted(stores=Level.NONE), "GET /stores", False),
        (restricted(chat=REQUEST), "POST /chat/completions", True),
        (restricted(chat=WRITE), "POST /chat/completions", False),
        (restricted(model_capabilities=REQUEST), "POST /chat/completions", False),
        (restricted(stores=WRITE), "GET /nothing", False),
    ],
)
def test_restricted_allows_what_is_granted(permissions: Permissions, request_line: str, expected: bool) -> None:
    """The level on the area of that very API; a parent holds no permission of its own."""
    assert allowed(asked(permissions, request_line)) is expected


@pytest.mark.parametrize(
    ("request_line", "expected"),
    [
        ("POST /audio/speech", True),
        ("POST /audio/Speech", True),
        ("POST /audio/voices", False),
        ("POST /audio/VOICES", False),
        ("POST /audio/voices;x", False),
        ("POST /audio/voices%3Bx", False),
        ("POST /audio/voices%2F1", False),
        ("POST /audio/x%2F1", True),
        ("POST /Audio/speech", False),
        ("POST /audio%2Fspeech", False),
        ("POST /audio//voices", False),
        ("POST /audio//speech", True),
        ("POST //audio/speech", False),
        ("POST //stores/audio/voices", False),
        ("POST /%61udio/speech", False),
        ("POST /audio/s%70eech", True),
    ],
)
def test_every_reading_of_a_path_must_be_allowed(request_line: str, expected: bool) -> None:
    """A path cannot be written so that it passes as one area and is served as another."""
    assert allowed(asked(restricted(audio=REQUEST), request_line)) is expected


def test_the_answer_counts_the_request_as_the_path_is_written() -> None:
    """Where several readings are allowed, the first one names the area."""
    both = restricted(audio=REQUEST, voices=WRITE)
    assert asked(both, "POST /audio/VOICES") == Allowed("audio", REQUEST)


def test_an_upgrade_is_never_a_read() -> None:
    """Neither with a read-only key nor with read on the area."""
    assert not allowed(asked(READ_ONLY, "GET /responses", upgrade=True))
    assert not allowed(asked(READ_ONLY, "GET /nothing", upgrade=True))
    assert not allowed(asked(restricted(responses=READ), "GET /responses", upgrade=True))
    assert asked(restricted(responses=WRITE), "GET /responses", upgrade=True) == Allowed("responses", WRITE)


def test_upgrade_may_be_left_out() -> None:
    """A plain request asks for none."""
    assert decide(ALL, "openai", TABLE, "OpenAI", b"GET", b"/models") == Allowed("models", READ)


@pytest.mark.parametrize("method", ["TRACE", "CONNECT"])
def test_some_methods_are_never_passed_on(method: str) -> None:
    """Not even for a key that may do all."""
    verdict = asked(ALL, f"{method} /models")
    assert isinstance(verdict, Denied)
    assert verdict.reason.startswith(f"{method} is never passed on")


@pytest.mark.parametrize("method", ["get", "Post", "G3T", "trace"])
def test_a_method_in_small_letters_is_refused(method: str) -> None:
    """Some servers would read it as another than the one decided on."""
    assert isinstance(asked(ALL, f"{method} /models"), Denied)


def test_an_unusual_method_counts_as_write() -> None:
    """What is not known to read may change something."""
    assert asked(ALL, "PROPFIND /stores") == Allowed("stores", WRITE)


def test_a_denial_names_the_area_and_level_to_tick() -> None:
    """In the console's words, with the grant as parameter and what to do."""
    verdict = asked(restricted(stores=READ), "POST /stores")
    assert isinstance(verdict, Denied)
    assert verdict.reason.startswith('This key needs "Stores: Write" on OpenAI. ')
    assert "tick it" in verdict.reason
    assert verdict.param == "openai:stores=write"


def test_a_denial_of_a_read_only_key_says_that_it_is_read_only() -> None:
    """Ticking would not help, another kind of key would."""
    verdict = asked(READ_ONLY, "POST /chat/completions")
    assert isinstance(verdict, Denied)
    assert 'needs "Chat: Request" on OpenAI, and it is read only' in verdict.reason
    assert verdict.param == "openai:chat=request"


def test_a_denial_of_what_cannot_be_ticked_says_so() -> None:
    """An upgrade under a read-only area needs a level that the area does not offer."""
    verdict = asked(restricted(usage=READ), "GET /usage/x", upgrade=True)
    assert isinstance(verdict, Denied)
    assert "cannot be given" in verdict.reason
    assert verdict.param is None


@pytest.mark.parametrize(
    ("permissions", "words"), [(restricted(), "a restricted key may not"), (READ_ONLY, "a read-only key may only GET")]
)
def test_a_denial_outside_all_areas_names_the_request(permissions: Permissions, words: str) -> None:
    """Method and path, so that a mistyped path is seen; a long one is cut."""
    verdict = asked(permissions, "POST /nothing")
    assert isinstance(verdict, Denied)
    assert "No area of OpenAI covers POST /nothing" in verdict.reason
    assert words in verdict.reason
    assert verdict.param is None
    long = asked(permissions, "POST /" + "n" * 500)
    assert isinstance(long, Denied)
    assert "n…" in long.reason
    assert len(long.reason) < 400


@pytest.mark.parametrize(
    ("request_line", "level", "counts_as"),
    [
        ("POST /stores/1", READ, Allowed("stores", READ)),
        ("GET /stores/1", WRITE, Allowed("stores", WRITE)),
        ("POST /stores/1/search", WRITE, Allowed("stores", WRITE)),
        ("POST /chat/completions", READ, Allowed("chat", REQUEST)),
        ("GET /nothing", WRITE, Allowed(None, None)),
    ],
)
def test_what_is_asked_for_goes_before_what_the_method_implies(
    request_line: str, level: Level, counts_as: Allowed
) -> None:
    """An area with one level has that one."""
    assert asked(ALL, request_line, level=level) == counts_as


@pytest.mark.parametrize(
    ("permissions", "request_line", "level", "expected"),
    [
        (restricted(stores=READ), "POST /stores/1", READ, True),
        (restricted(stores=READ), "GET /stores/1", WRITE, False),
        (restricted(chat=REQUEST), "GET /chat/completions", READ, True),
        (READ_ONLY, "POST /stores/1", READ, True),
        (READ_ONLY, "GET /stores/1", WRITE, False),
        (READ_ONLY, "POST /chat/completions", READ, False),
        (READ_ONLY, "GET /nothing", READ, True),
        (READ_ONLY, "GET /nothing", WRITE, False),
        (READ_ONLY, "POST /nothing", READ, False),
        (restricted(stores=WRITE), "GET /nothing", READ, False),
        (READ_ONLY, "POST /stores/1%2Fsearch", READ, True),
        (restricted(stores=READ), "GET /chat%2Fcompletions", READ, False),
    ],
)
def test_a_level_that_is_asked_for_is_the_one_that_is_needed(
    permissions: Permissions, request_line: str, level: Level, expected: bool
) -> None:
    """Of every reading of the path."""
    assert allowed(asked(permissions, request_line, level=level)) is expected


@pytest.mark.parametrize(
    ("permissions", "request_line", "expected"),
    [
        (ALL, "POST /stores/1", True),
        (READ_ONLY, "GET /stores/1", True),
        (READ_ONLY, "POST /stores/1/search", False),
        (restricted(stores=WRITE), "GET /stores/1", False),
    ],
)
def test_no_area_covers_what_is_elsewhere(permissions: Permissions, request_line: str, expected: bool) -> None:
    """Whatever its path looks like."""
    verdict = asked(permissions, request_line, elsewhere=True)
    assert allowed(verdict) is expected
    assert isinstance(verdict, Allowed) or "No area of OpenAI covers" in verdict.reason


def test_a_key_may_have_one_verb_of_a_model_and_not_another() -> None:
    """However the colon is written: an upstream may undo its encoding."""
    table = AreaTable(
        (
            Area("generate", "Generate", (REQUEST,), None, (parse_rule("POST /models/*:generateContent"),)),
            Area("other", "Other", (WRITE,), None, (parse_rule("POST /models/*"),)),
        )
    )
    key = restricted(generate=REQUEST)
    for path, good in (
        (b"/models/gemini:generateContent", True),
        (b"/models/gemini:batchDelete", False),
        (b"/models/gemini%3AbatchDelete", False),
        (b"/models/gemini:batchDelete;x=:generateContent", False),
        (b"/models/gemini%3AgenerateContent", False),
    ):
        assert allowed(decide(key, "openai", table, "OpenAI", b"POST", path)) is good, path


def test_an_api_that_takes_every_segment_for_itself_is_sent_dots() -> None:
    """Another is not; whatever the key may do."""
    literal = AreaTable(TABLE.areas, literal=True)
    assert allowed(decide(ALL, "openai", literal, "OpenAI", b"GET", b"/models/../x"))
    with pytest.raises(InvalidRequest):
        decide(ALL, "openai", TABLE, "OpenAI", b"GET", b"/models/../x")


def test_every_reading_of_a_path_is_judged_as_the_request_is() -> None:
    """An upgrade is no read in any of them, and what a call is said to do holds for all."""
    table = AreaTable([Area("files", "Files", (READ, WRITE), None, (parse_rule("GET /files/*"),))])
    reader = restricted(files=READ)
    for path in (b"/files/a", b"/files//a", b"/FILES/a%2Fb", b"/files/a;x", b"/files/a%2Fb"):
        strict = path.startswith(b"/files")
        assert allowed(decide(reader, "openai", table, "OpenAI", b"GET", path)) is strict
        assert not allowed(decide(reader, "openai", table, "OpenAI", b"GET", path, upgrade=True))
        assert not allowed(decide(reader, "openai", table, "OpenAI", b"GET", path, level=WRITE))
        assert allowed(decide(restricted(files=WRITE), "openai", table, "OpenAI", b"GET", path, upgrade=True)) is strict


def test_each_reading_of_a_path_is_looked_up_by_itself() -> None:
    """One area covers the path as it came, another what some servers make of it: both are needed."""
    table = AreaTable(
        [
            Area("open", "Open", (READ,), None, (parse_rule("GET /a/*"),)),
            Area("closed", "Closed", (READ,), None, (parse_rule("GET /a/b/c"),)),
        ]
    )
    for path in (b"/a/b%2Fc", b"/a//b/c", b"/a/b;x/c", b"/a/B/c"):
        verdict = decide(restricted(open=READ), "openai", table, "OpenAI", b"GET", path)
        assert isinstance(verdict, Denied)
        assert "Closed: Read" in verdict.reason
        assert "OpenAI" in verdict.reason
        assert allowed(decide(restricted(open=READ, closed=READ), "openai", table, "OpenAI", b"GET", path))


def table_of(**patterns: str) -> AreaTable:
    """Areas that read and write, each with the operations of one pattern."""
    return AreaTable(
        [Area(name, name.title(), (READ, WRITE), None, (parse_rule(f"* {text}"),)) for name, text in patterns.items()]
    )


@pytest.mark.parametrize("path", [b"/a/Files/1", b"/a/files/1", b"/a/FILES/1", b"/a//files/1"])
def test_small_letters_are_another_reading_of_capitals(path: bytes) -> None:
    """An upstream that ignores case serves what the pattern's capitals name."""
    table = table_of(open="/a/*", closed="/a/Files/*")
    verdict = decide(restricted(open=READ), "openai", table, "OpenAI", b"GET", path)
    assert isinstance(verdict, Denied)
    assert verdict.param == "openai:closed=read"


def test_a_reading_counts_in_the_case_it_is_written_in_too() -> None:
    """Although the same reading in any case falls under an area that the key has."""
    table = table_of(root="/*", closed="/x/*", open="/x/B")
    key = restricted(root=WRITE, open=WRITE, closed=READ)
    assert not allowed(decide(restricted(root=READ, open=READ), "openai", table, "OpenAI", b"GET", b"/x%2Fb"))
    assert allowed(decide(key, "openai", table, "OpenAI", b"GET", b"/x%2Fb"))
    assert not allowed(decide(key, "openai", table, "OpenAI", b"GET", b"/x%2Fb", upgrade=True))
    assert not allowed(decide(key, "openai", table, "OpenAI", b"GET", b"/x%2Fb", level=WRITE))


def test_an_upgrade_is_no_read_in_any_case() -> None:
    """The area that another case falls under needs write as well."""
    table = table_of(open="/x/*", closed="/x/B")
    key = restricted(open=WRITE, closed=READ)
    assert allowed(decide(key, "openai", table, "OpenAI", b"GET", b"/x/b"))
    assert not allowed(decide(key, "openai", table, "OpenAI", b"GET", b"/x/b", upgrade=True))


def test_a_reading_that_no_area_covers_is_told() -> None:
    """As the upstream may read it, so that the reason can be seen."""
    table = table_of(open="/{x}/b")
    verdict = decide(restricted(open=READ), "openai", table, "OpenAI", b"GET", b"/x%2Fy/b")
    assert isinstance(verdict, Denied)
    assert "No area of OpenAI covers GET /x/y/b, so" in verdict.reason


@pytest.mark.parametrize(("length", "cut"), [(100, False), (101, True)])
def test_a_path_that_no_area_covers_is_told_in_part(length: int, *, cut: bool) -> None:
    """What is long is cut, and its end says so."""
    verdict = asked(READ_ONLY, "POST /" + "a" * (length - 1))
    assert isinstance(verdict, Denied)
    assert f"covers POST /{'a' * 99}{'…' if cut else ''}, so a read-only key" in verdict.reason
