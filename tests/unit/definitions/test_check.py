"""Files checked without a server: each mistake with its place and its line, calls too."""

from tieline.definitions.check import check, show
from tieline.schemes.registry import SCHEMES

GOOD = "tieline: v1\napi: weather\nbase_url: https://api.weather.example\nauth: {scheme: bearer}\n"


def told(text: str) -> str:
    """What is shown of a file."""
    return show("w.yaml", text, check(text, schemes=SCHEMES))


def test_a_good_definition_has_nothing_to_tell() -> None:
    """An empty text, for files with nothing wrong."""
    assert told(GOOD) == ""


def test_each_mistake_stands_on_a_line_of_its_own_with_the_line_it_is_in() -> None:
    """With line, column and a mark below what is meant."""
    assert told(GOOD + "titel: Weather\nlimits: {timeout: {total: 5}}\n").splitlines() == [
        'w.yaml:5:1: titel: unknown key "titel"; did you mean "title"?',
        "    titel: Weather",
        "    ^",
        (
            "w.yaml:6:20: limits.timeout.total: expected text (duration 10ms\u201324h), "
            "found a whole number; write it in quotes"
        ),
        "    limits: {timeout: {total: 5}}",
        "                       ^",
    ]


def test_a_call_of_its_own_is_checked_with_its_lines() -> None:
    """Its slots may be variables of the API it will belong to, unless they look like a parameter written wrong."""
    call = "path: /now/<tenant>/<citty>\nmethod: GETT\nparameters: {city: {type: text}}\n"
    assert [(each.line, each.path) for each in check(call)] == [(2, "method")]
    problems = check(call.replace("GETT", "GET"))
    assert [(each.line, each.path) for each in problems] == [(1, "path"), (3, "parameters.city")]
    assert 'did you mean "city"' in problems[0].message
    assert check("path: /now/<tenant>\n") == ()
    assert check("url: https://other.example/<id>\nparameters: {id: {}}\n") == ()


def test_what_is_no_yaml_is_shown_where_it_ends_to_be() -> None:
    """Tabs and other characters that cannot be seen are made visible."""
    shown = told(GOOD + "limits:\n\tbody: 1KiB\n")
    assert shown.splitlines()[0].startswith("w.yaml:6:1: ")
    assert shown.splitlines()[1] == "    →body: 1KiB"


def test_a_line_with_a_secret_is_not_shown() -> None:
    """What is printed may be kept in a log."""
    shown = told(GOOD + "headers: [{name: Authorization, value: Bearer abcdef}]\n")
    assert "secret" in shown
    assert "abcdef" not in shown


def test_a_long_line_is_shown_around_the_mistake() -> None:
    """And the mark stays below it."""
    shown = told("x: {" + "a: 1, " * 100 + "b: &c 1}").splitlines()
    assert len(shown[1]) < 140
    assert shown[1][shown[2].index("^")] in "ab&"
