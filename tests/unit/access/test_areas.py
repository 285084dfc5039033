"""The table of areas: which rule an operation falls under."""

import re

import pytest

from tests.unit.access.tables import BOTH, area, small_table
from tieline.access.areas import Area, AreaTable
from tieline.access.levels import Level
from tieline.access.verdict import Allowed

READ, WRITE, REQUEST = Level.READ, Level.WRITE, Level.REQUEST


def found(table: AreaTable, method: bytes | str, path: bytes | str, *, upgrade: bool = False) -> str | None:
    """What the table finds, as ``area=level``."""
    match = table.find(method, path, upgrade=upgrade)
    return None if match is None else f"{match.area.name}={match.level}"


@pytest.mark.parametrize(
    ("request_line", "expected"),
    [
        ("GET /models", "models=read"),
        ("HEAD /models/gpt", "models=read"),
        ("GET /models/org/gpt", "models=read"),
        ("POST /models", None),
        ("DELETE /models/gpt", "tuning=write"),
        ("POST /chat/completions", "chat=request"),
        ("GET /chat/completions", "chat=request"),
        ("OPTIONS /chat/completions/1/messages", "chat=request"),
        ("GET /chat", None),
        ("GET /responses/1", "responses=read"),
        ("OPTIONS /responses/1", "responses=read"),
        ("PROPFIND /responses/1", "responses=write"),
        ("POST /audio/speech", "audio=request"),
        ("POST /audio/voices", "voices=write"),
        ("GET /audio/voices/1/x", "voices=read"),
        ("GET /audio", None),
        ("POST /stores/1/search", "stores=read"),
        ("POST /stores/1/search/x", "stores=write"),
        ("PUT /stores/1/search", "stores=write"),
        ("POST /stores/1", "stores=write"),
        ("POST /usage/x", "usage=read"),
        ("GET /", None),
        ("GET /models/", "models=read"),
        ("POST /stores/1/search/", "stores=read"),
        ("GET /audio/", None),
    ],
)
def test_an_operation_falls_under_its_most_specific_rule(request_line: str, expected: str | None) -> None:
    """Literal before wildcard, a method's own rule before any, and the level that the method implies."""
    method, path = request_line.split(" ")
    assert found(small_table(), method.encode(), path.encode()) == expected


def test_text_and_bytes_find_the_same() -> None:
    """The control plane asks in text, the data plane in bytes."""
    assert found(small_table(), "GET", "/models/gpt") == found(small_table(), b"GET", b"/models/gpt") == "models=read"


def test_text_that_no_upstream_can_be_sent_falls_under_no_area() -> None:
    """Half a character is told apart from every letter, and is no error."""
    assert small_table().find("GET", "/model\ud800") is None


def test_a_literal_that_leads_nowhere_falls_back_to_a_wildcard() -> None:
    """The search goes back where the literal branch has no rule for the rest or for the method."""
    table = AreaTable(
        [
            area("special", BOTH, "GET /a/b/c"),
            area("one", BOTH, "* /a/{x}/d"),
            area("rest", BOTH, "* /a/*"),
        ]
    )
    assert found(table, b"GET", b"/a/b/c") == "special=read"
    assert found(table, b"POST", b"/a/b/c") == "rest=write"
    assert found(table, b"GET", b"/a/b/d") == "one=read"
    assert found(table, b"GET", b"/a/b/e") == "rest=read"


def test_one_segment_goes_before_several() -> None:
    """A named segment at the end is exactly one; a star at the end is one or more and less specific."""
    table = AreaTable([area("one", BOTH, "* /a/{x}"), area("rest", BOTH, "* /a/*")])
    assert found(table, b"GET", b"/a/1") == "one=read"
    assert found(table, b"GET", b"/a/1/2") == "rest=read"


def test_the_root_and_everything_below_it_can_be_claimed() -> None:
    """``/`` is the root alone and ``/*`` all else; an empty path is the root."""
    table = AreaTable([area("root", BOTH, "GET /"), area("rest", BOTH, "* /*")])
    assert found(table, b"GET", b"/") == found(table, b"GET", b"") == "root=read"
    assert found(table, b"POST", b"/") is None
    assert found(table, b"GET", b"/x/y") == "rest=read"


def test_a_rule_for_head_goes_before_that_for_get() -> None:
    """HEAD counts as GET only where nothing names it."""
    table = AreaTable([area("a", BOTH, "GET /x"), area("b", BOTH, "HEAD /x"), area("c", BOTH, "* /x")])
    assert found(table, b"HEAD", b"/x") == "b=read"
    assert found(table, b"OPTIONS", b"/x") == "c=read"


def test_an_upgrade_never_counts_as_read() -> None:
    """A WebSocket can carry anything, so it needs write, or request where that is the only level."""
    table = small_table()
    assert found(table, b"GET", b"/responses/1", upgrade=True) == "responses=write"
    assert found(table, b"GET", b"/stores/1", upgrade=True) == "stores=write"
    assert found(table, b"GET", b"/audio/x", upgrade=True) == "audio=request"
    assert found(table, b"GET", b"/usage/x", upgrade=True) == "usage=write"
    assert found(table, b"GET", b"/none", upgrade=True) is None


def test_an_area_with_write_alone_needs_write_for_everything() -> None:
    """The only level of an area is what each of its operations needs."""
    assert found(AreaTable([area("a", (WRITE,), "* /a")]), b"GET", b"/a") == "a=write"


def test_case_can_be_ignored() -> None:
    """Literals match in any case; segments under a wildcard are what they are."""
    match = small_table().find_any_case(b"POST", b"/Audio/VOICES")
    assert match is not None
    assert (match.area.name, match.level) == ("voices", WRITE)
    assert small_table().find_any_case(b"GET", b"/Nothing") is None


@pytest.mark.parametrize(
    ("pattern", "has"), [("/a/b", False), ("/a/{theName}/*", False), ("/a/B", True), ("/a/{x}:runNow", True)]
)
def test_capitals_in_patterns_are_known(pattern: str, has: bool) -> None:
    """The names of wildcards do not count: nobody sends them."""
    assert AreaTable([area("a", BOTH, f"GET {pattern}")]).has_capitals is has


def test_ignoring_case_keeps_upgrades_from_reading() -> None:
    """The upgrade rule holds however the case is read."""
    different = AreaTable([area("low", BOTH, "* /a"), area("high", BOTH, "* /A")])
    for table, path in ((small_table(), b"/Responses"), (different, b"/A")):
        for upgrade, level in ((True, WRITE), (False, READ)):
            match = table.find_any_case(b"GET", path, upgrade=upgrade)
            assert match is not None
            assert match.level is level
        assert table.find_any_case(b"GET", path) == match


def test_an_api_whose_patterns_differ_in_case_only_is_read_as_written() -> None:
    """Where case means something to the API, it is not ignored."""
    table = AreaTable([area("low", BOTH, "* /a"), area("high", BOTH, "* /A")])
    match = table.find_any_case(b"GET", b"/A")
    assert match is not None
    assert match.area.name == "high"


def test_parents_list_their_children_in_order() -> None:
    """A parent's children, and none for an area that is no parent."""
    table = small_table()
    assert [child.name for child in table.children("model_capabilities")] == ["chat", "responses"]
    assert table.children("models") == ()
    assert [one.name for one in table.areas][:3] == ["models", "model_capabilities", "chat"]


def test_areas_are_found_by_name() -> None:
    """An area by its name, or None."""
    chat = small_table().area("chat")
    assert chat is not None
    assert chat.title == "Chat"
    assert small_table().area("nope") is None


def test_a_match_holds_the_answer_made_once() -> None:
    """Two look-ups give the same objects, so that a decision builds nothing."""
    table = small_table()
    first, second = table.find(b"GET", b"/models"), table.find(b"GET", b"/models/x")
    assert first is not None
    assert first is second
    assert first.allowed == Allowed("models", READ)


def test_an_api_takes_dot_segments_for_itself_only_where_it_says_so() -> None:
    """Otherwise paths that climb are refused."""
    assert AreaTable([]).literal is False
    assert AreaTable([], literal=True).literal is True


@pytest.mark.parametrize(
    ("areas", "problem"),
    [
        ([area("a", BOTH, "* /x"), area("b", BOTH, "* /x")], 'claimed already by "* /x" of "a"'),
        ([area("a", BOTH, "GET /x/*/y"), area("b", BOTH, "GET,PUT /x/{id}/y")], "claimed already"),
        ([area("a", BOTH, "GET /x", "GET /x = write")], "claimed already"),
        ([area("a", BOTH), area("a", BOTH)], 'Two areas are called "a"'),
        ([area("a", BOTH), area("b", BOTH), area("b", BOTH)], 'Two areas are called "b"'),
        ([area("A", BOTH)], "no usable name"),
        ([area("a", (WRITE, READ))], "levels that do not go together"),
        ([area("a", (READ, REQUEST))], "levels that do not go together"),
        ([area("a", (Level.NONE,))], "levels that do not go together"),
        ([area("a", (), "* /x")], "has rules but no levels"),
        ([area("p", ()), area("a", (), parent="p")], "is a parent and has one"),
        ([area("a", BOTH, parent="p")], 'names the parent "p", which there is not'),
        ([area("p", BOTH), area("a", BOTH, parent="p")], "which has its own levels"),
        ([area("a", (READ,), "POST /x = write")], "does not offer the level of its rule"),
    ],
)
def test_areas_that_contradict_are_refused(areas: list[Area], problem: str) -> None:
    """The table cannot be built, and the error names the area and what to change."""
    with pytest.raises(ValueError, match=re.escape(problem)):
        AreaTable(areas)


GENERATING = AreaTable(
    (
        area("generate", (REQUEST,), "POST /models/*:generateContent", "POST /models/{model}:streamGenerateContent"),
        area("batches", (WRITE,), "POST /models/*:batchDelete", "* /models/*:generateContent/log"),
        area("models", (READ,), "GET /models", "GET /models/*"),
    )
)


@pytest.mark.parametrize(
    ("request_line", "expected"),
    [
        ("POST /models/gemini-pro:generateContent", "generate=request"),
        ("POST /models/tuned:mine:generateContent", "generate=request"),
        ("POST /models/gemini-pro:streamGenerateContent", "generate=request"),
        ("POST /models/gemini-pro:batchDelete", "batches=write"),
        ("PUT /models/gemini-pro:generateContent/log", "batches=write"),
        ("GET /models/gemini-pro:generateContent", "models=read"),
        ("POST /models/gemini-pro:generatecontent", None),
        ("POST /models/gemini-pro:generateContent:batchDelete", "batches=write"),
        ("POST /models/:generateContent", None),
        ("POST /models/generateContent", None),
        ("POST /models/gemini-pro", None),
    ],
)
def test_a_rule_may_name_the_verb_that_a_segment_ends_in(request_line: str, expected: str | None) -> None:
    """The last colon parts it from a name, which may not be empty; without a rule for the method the wildcard holds."""
    method, path = request_line.split(" ")
    assert found(GENERATING, method, path) == expected
