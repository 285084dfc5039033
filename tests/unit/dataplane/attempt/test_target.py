"""Where a call's request goes, and where an answer may lead it."""

from dataclasses import replace

import pytest

from tieline.access.areas import AreaTable
from tieline.core.errors import InvalidRequest, UpstreamProtocolError
from tieline.core.urls import Origin
from tieline.dataplane.attempt.target import Target, target_of, told_target
from tieline.dataplane.snapshot.plan import Plan
from tieline.dataplane.snapshot.view import Snapshot
from tieline.definitions.fill.request import Filled
from tieline.testing.dataplane import MemorySource
from tieline.testing.vault import memory_keyring
from tieline.wire.deadlines import Deadlines
from tieline.wire.guard import Guard
from tieline.wire.pool import Pool
from tieline.wire.tls import Trust

ELSEWHERE = Origin("https", "files.test", 443)


@pytest.fixture
async def plan() -> Plan:
    """The plan of an API at https://api.test/v1."""
    keyring = await memory_keyring()
    source = MemorySource(keyring)
    source.put_api({"tieline": "v1", "api": "api", "base_url": "https://api.test/v1", "auth": {"scheme": "none"}})
    guard = Guard([])
    snapshot = Snapshot(source, keyring, guard, Pool(guard, Deadlines(), Trust()))
    await snapshot.load()
    api = snapshot.apis.get(b"api")
    assert api is not None
    return api.plans["live"]


def filled(path: str | None = None, url: str | None = None, query: bytes = b"") -> Filled:
    """A call that is filled, without headers and body."""
    return Filled("GET", path, url, query, [], None)


@pytest.mark.parametrize(
    ("made", "target"),
    [
        (filled("/a//b//c", query=b"x=1"), Target(b"/a//b//c", b"x=1")),
        (filled(url="https://api.test/v1/a"), Target(b"/a", b"")),
        (filled(url="https://api.test/v1"), Target(b"", b"")),
        (filled(url="https://api.test/v10/a"), Target(b"/v10/a", b"", Origin("https", "api.test", 443))),
        (filled(url="https://files.test/v1/a/"), Target(b"/v1/a/", b"", ELSEWHERE)),
        (filled(url="https://files.test"), Target(b"/", b"", ELSEWHERE)),
        (filled(url="http://api.test/v1/a"), Target(b"/v1/a", b"", Origin("http", "api.test", 80))),
    ],
)
async def test_a_target_is_below_the_base_url_or_elsewhere(plan: Plan, made: Filled, target: Target) -> None:
    """Only what is below it has a path that areas cover."""
    assert target_of(plan, made) == target
    assert (target.below is None) == (target.origin is not None)


@pytest.mark.parametrize(
    ("told", "target"),
    [
        ("?page=2", Target(b"/things", b"page=2")),
        ("more", Target(b"/more", b"")),
        ("", Target(b"/things", b"page=1")),
        ("a//b///c?", Target(b"/a//b///c", b"")),
        ("a//../b/.", Target(b"/a/b/", b"")),
        ("../../../up", Target(b"/up", b"", Origin("https", "api.test", 443))),
        ("/v1/a b?q=\u00e9#there", Target(b"/a%20b", b"q=%C3%A9")),
        ("/else", Target(b"/else", b"", Origin("https", "api.test", 443))),
        ("https://api.test/v1/x/../y?z", Target(b"/y", b"z")),
        ("/v1/../else", Target(b"/else", b"", Origin("https", "api.test", 443))),
        ("http://api.test/v1/a?page=2", Target(b"/a", b"page=2")),
        ("http://api.test:443/v1/a", Target(b"/a", b"")),
        ("HTTPS://API.test:443/v1/a", Target(b"/a", b"")),
        ("https://api.test/v1/go/http://there", Target(b"/go/http://there", b"")),
    ],
)
async def test_what_an_answer_tells_is_read_against_what_was_asked(plan: Plan, told: str, target: Target) -> None:
    """By RFC 3986, so that dot segments are resolved, and by https where a proxy's API names itself with http."""
    assert told_target(plan, Target(b"/things", b"page=1"), told) == target


@pytest.mark.parametrize(
    "told",
    [
        "file:///etc/passwd",
        "http://[::1",
        "https://user@api.test/",
        "//a\\b",
        "http://1.2.3",
        "https:more",
        "mailto:x",
        "https:///more",
        "https://files.test/x",
        "http://files.test/x",
        "//files.test/x",
        "http://api.test:8080/v1/a",
        "https://api.test:8443/v1/a",
        "https://api.test.evil.test/v1/a",
    ],
)
async def test_what_leads_elsewhere_or_nowhere_is_refused(plan: Plan, told: str) -> None:
    """A secret goes to the origin that it is bound to: no other host, port or scheme that an answer names."""
    with pytest.raises(UpstreamProtocolError):
        told_target(plan, Target(b"/things", b""), told)


async def test_what_was_asked_by_http_may_lead_to_https(plan: Plan) -> None:
    """The twin is no less safe, and plain http is not gone back to."""
    asked = Target(b"/x", b"", Origin("http", "files.test", 80))
    secure = told_target(plan, asked, "https://files.test/y")
    assert secure == Target(b"/y", b"", Origin("https", "files.test", 443))
    assert told_target(plan, secure, "http://files.test/z").origin == Origin("https", "files.test", 443)


async def test_the_url_that_was_asked_is_told_whole(plan: Plan) -> None:
    """With its query if it has one, below the base URL or elsewhere."""
    assert Target(b"/a", b"b=1").url(plan) == "https://api.test/v1/a?b=1"
    assert Target(b"/a", b"").url(plan) == "https://api.test/v1/a"
    assert Target(b"/a", b"", ELSEWHERE).url(plan) == "https://files.test/a"


TRICKS = ("/a/%2e%2e/b", "/a/..;x/b", "/a%5Cb")


@pytest.mark.parametrize("path", TRICKS)
async def test_a_path_that_upstreams_read_in_several_ways_is_not_sent(plan: Plan, path: str) -> None:
    """Whether a call, a whole URL or an answer leads there, to this API or elsewhere."""
    for made in (filled(path), filled(url=f"https://api.test/v1{path}"), filled(url=f"https://files.test{path}")):
        with pytest.raises(InvalidRequest):
            target_of(plan, made)
    with pytest.raises(UpstreamProtocolError):
        told_target(plan, Target(b"/x", b""), f"https://api.test/v1{path}")


@pytest.mark.parametrize("path", TRICKS)
async def test_an_api_that_takes_every_segment_for_itself_is_sent_them(plan: Plan, path: str) -> None:
    """Itself only: another origin may read them otherwise."""
    literal = replace(plan, table=AreaTable(plan.table.areas, literal=True))
    assert target_of(literal, filled(path)).path == path.encode()
    assert target_of(literal, filled(url=f"https://api.test/v1{path}")).path == path.encode()
    with pytest.raises(InvalidRequest):
        target_of(literal, filled(url=f"https://files.test{path}"))


async def test_dots_of_a_path_with_an_empty_beginning_stay(plan: Plan) -> None:
    """They are read in several ways, so that they are refused."""
    with pytest.raises(UpstreamProtocolError):
        told_target(plan, Target(b"/x", b""), "https://api.test//a/../b")
