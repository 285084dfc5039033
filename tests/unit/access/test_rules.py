"""The text form of rules."""

import re

import pytest

from tieline.access.levels import Level
from tieline.access.rules import Rule, parse_rule


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("* /chat/completions/*", Rule(None, "/chat/completions/*", None)),
        ("GET,HEAD /files", Rule(frozenset({"GET", "HEAD"}), "/files", None)),
        ("POST /stores/*/search = read", Rule(frozenset({"POST"}), "/stores/*/search", Level.READ)),
        ("  POST   /stores/{id}/search=request ", Rule(frozenset({"POST"}), "/stores/{id}/search", Level.REQUEST)),
        ("M-SEARCH /", Rule(frozenset({"M-SEARCH"}), "/", None)),
    ],
)
def test_a_rule_reads_as_written(text: str, rule: Rule) -> None:
    """Methods, pattern and level come out of the text."""
    assert parse_rule(text) == rule


@pytest.mark.parametrize(
    "text", ["* /chat/*", "GET,HEAD /files", "POST /stores/*/search = read", "POST /v1/{model}:predict = request"]
)
def test_a_rule_writes_itself_as_it_was_read(text: str) -> None:
    """The text of a rule is the text it came from."""
    assert str(parse_rule(text)) == text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is no rule"),
        ("/files", "is no rule"),
        ("GET /files read", "is no rule"),
        ("get /files", '"get" is no method'),
        ("GET, /files", '"" is no method'),
        ("GET,GET /files", "names a method twice"),
        ("TRACE /files", "TRACE is never passed on"),
        ("GET,CONNECT /files", "CONNECT is never passed on"),
        ("GET files", "must begin with a slash"),
        ("GET /files?x=1", "must be encoded"),
        ("GET /files/../x", "holds a dot segment"),
        ("GET //files", 'Write "/files"'),
        ("GET /files/", 'Write "/files"'),
        ("GET /%66iles", 'Write "/files"'),
        ("GET //", 'Write "/"'),
        ("GET /files*", "stand for a whole segment"),
        ("GET /{id", "stand for a whole segment"),
        ("GET /a}", "stand for a whole segment"),
        ("GET /{}/", 'Write "/{}"'),
        ("GET /a{id}", "stand for a whole segment"),
        ("GET /{}", "stand for a whole segment"),
        ("POST /*:", "stand for a whole segment"),
        ("POST /*:a:b", "stand for a whole segment"),
        ("POST /a*:run", "stand for a whole segment"),
        ("GET /files = none", '"none" is no level'),
        ("GET /files = all", '"all" is no level'),
    ],
)
def test_what_is_no_rule_is_refused_with_the_reason(text: str, problem: str) -> None:
    """The error names what is wrong and what to write."""
    with pytest.raises(ValueError, match=re.escape(problem)):
        parse_rule(text)


@pytest.mark.parametrize(("length", "shown"), [(40, 40), (41, 13)])
def test_what_cannot_be_read_is_shown_in_part(length: int, shown: int) -> None:
    """It may be a secret in the wrong place; what is short is shown whole."""
    with pytest.raises(ValueError, match="is no rule") as error:
        parse_rule("x" * length)
    assert str(error.value).startswith('"' + "x" * shown + ('"' if shown == length else '…"'))


def test_what_is_no_rule_is_shown_rules_that_are() -> None:
    """Whoever copies an example from the error has a rule."""
    with pytest.raises(ValueError, match="is no rule") as error:
        parse_rule("files")
    shown = re.search(r'such as "(.+)" or "(.+)"\.$', str(error.value))
    assert shown is not None
    assert [str(parse_rule(example)) for example in shown.groups()] == list(shown.groups())
