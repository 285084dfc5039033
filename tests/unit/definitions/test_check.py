"""Files checked without a server: each mistake with its place and its line, calls too."""

import pytest

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
            "found a whole number; write it like 30s"
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


@pytest.mark.parametrize(
    "line",
    [
        "auth: {scheme: basic, username: u, password: hunter2hunter}",
        "credentials: {key: sk-hunter2hunter}",
        "auth: {scheme: api_key, in: header, name: X, format: 'Bearer sk-hunter2hunter'}",
        "title: [a, sk-hunter2hunter]",
    ],
)
def test_a_line_with_a_secret_is_not_shown_for_another_mistake_either(line: str) -> None:
    """Whichever mistake of the line is told."""
    assert "hunter2" not in told(GOOD.replace("auth: {scheme: bearer}\n", "") + line + "\n")


def test_a_long_line_is_shown_around_the_mistake() -> None:
    """And the mark stays below it."""
    shown = told("x: {" + "a: 1, " * 100 + "b: &c 1}").splitlines()
    assert len(shown[1]) < 140
    assert shown[1][shown[2].index("^")] in "ab&"


SLIPS = {
    "limits:\n\tbody: 1KiB": (6, "a tab stands here"),
    "title: List: all": (5, 'a text with ": " in it is written in quotes'),
    "limits: {body: 1KiB\nnotes: x": (5, 'a "{" begins here and is not closed'),
    'title: "Weather\nnotes: x': (5, "a text in quotes begins here and is not closed"),
    "limits:\n  body: 1KiB\n   retry: {}": (7, "this line is further in than what stands above it"),
    "title: @me": (5, 'a text that begins with "@" is written in quotes'),
    "headers: {X-A: b}": (5, "write it like [{name: X-Version, value: '2'}]"),
    "parameters: {units: metric}": (5, "write it like [{name: units, in: query, value: metric}]"),
    "parameters: [{name: api_key, in: query, value: sk-abc12345}]": (5, "write private: true in its place"),
    "headers: [{name: X-Api-Token, value: abcdef0123456789}]": (5, "write private: true in its place"),
    "headers: [{name: X-Org, value: 'Bearer abcdef0123'}]": (5, "write private: true in its place"),
    "limits: {timeout: {total: 30}}": (5, "write it like 30s"),
    "verify: {path: '/users/{id}'}": (5, "write <id> for a value"),
    "calls: [{name: now, path: /now}]": (5, "write it like {a_name: {path: /now}}"),
    "calls: {f: {path: '/f/{city}', parameters: {city: {}}}}": (5, "write <city> for a value"),
    "calls: {f: {path: '/f/${city}'}}": (5, "write <city> for a value"),
    "calls: {f: {path: '/f/:city', parameters: {city: {}}}}": (5, "write <city> in the path, not :city"),
    "calls: {f: {path: 'https://a.example/f'}}": (5, "write what follows the host"),
    "calls: {f: {path: /f, body: {type: json, template: {a: 1}}}}": (5, "say the method, such as method: POST"),
    "calls: {f: {path: /f, method: POST, body: {a: 1}}}": (5, "write it like {type: json, template:"),
    "calls: {f: {path: /f, method: get}}": (5, 'did you mean "GET"?'),
    "calls: {f: {path: /f, query: {units: metric}}}": (5, "write it like [{name: units, value: metric}]"),
    "calls: {f: {path: /f, query: [{name: api_key, value: abcdef0123}]}}": (5, "a slot of a private parameter"),
    "calls: {f: {path: '/f/<c>', parameters: [{name: c}]}}": (5, "write it like {a_name: {type: text}}"),
    "calls: {f: {path: '/f/<c>', parameters: {c: {type: string}}}}": (5, 'did you mean "text"?'),
    "calls: {f: {path: /f, follow_redirects: yes}}": (5, "write it like true"),
    "title:Weather": (5, 'a blank is missing after the ":"'),
    "limits:{body: 1KiB}": (5, 'a blank is missing after the ":"'),
    "title:: Weather": (5, 'one ":" is enough'),
    "title = Weather": (5, 'write ": " in place of "="'),
    "areas:\n  -{area: a}": (5, 'a blank is missing after the "-"'),
    "areas:\n  - area: a\n    match: [* /x]": (7, 'a text that begins with "*" is written in quotes'),
    "title: & more": (5, 'a text that begins with "&" is written in quotes'),
    "title: , more": (5, "no text can begin with this character"),
    "limits: {body: 1KiB}}": (5, 'this "}" closes nothing'),
    "limits: {body: 1KiB\n  retry: {attempts: 3}}": (5, 'or "," before line 6'),
    "title: 'Tomorrow's weather'": (5, "a text in quotes ends before this"),
    'notes: "C:\\data"': (5, 'a "\\" in double quotes begins an escape'),
    'notes: "C:\\users"': (5, 'a "\\" in double quotes begins an escape'),
    "notes: |hello\n  more": (5, "the text begins on the next line"),
    "```": (5, "this line is Markdown"),
    "// a comment: x": (5, 'a comment begins with "#"'),
    "verify:\n\u00a0\u00a0path: /x": (5, "has no value"),
    "\u00a0title: x": (5, "a character that cannot be seen"),
    "authentication: {scheme: bearer}": (5, 'did you mean "auth"?'),
    "url: https://a.example": (5, 'did you mean "base_url"?'),
    "limits: {timeout: 30s}": (5, "write it like {total: 30s}"),
    "limits: {retry: 3}": (5, "write it like {attempts: 3}"),
    "verify: /account": (5, "write it like {path: /account}"),
    "areas: {files: {levels: [read]}}": (5, "write it like [{area: files, levels: [read]"),
    "areas: [{area: a, levels: read, match: ['GET /x']}]": (5, "write it like [read]"),
    "areas: [{area: a, levels: [read], match: GET /x}]": (5, "write it like ['GET /files']"),
    "hosts: api.weather.example": (5, "write it like [api.example.com]"),
    "calls: {getNow: {path: /now}}": (5, "write it like get_now"),
    "calls: {f: {path: /f, response: json}}": (5, "write it like {type: json}"),
    "calls: {f: {path: /f, response: {fields: {t: number}}}}": (5, "write it like [{path: name, type: text}]"),
    "calls: {f: {path: /f, pagination: link}}": (5, "write it like {kind: link}"),
    "calls: {f: {path: /f, cache: 5m}}": (5, "write it like {ttl: 5m}"),
    "calls: {f: {path: '/f/<c>', parameters: {c: {enum: [a]}}}}": (5, 'did you mean "choices"?'),
    "calls: {f: {path: /f, parameters: {t: {in: query, private: true, default: sk-abc12345}}}}": (
        5,
        "leave it out and write private: true",
    ),
    "variables: {api_key: {default: abcdef0123}}": (5, "write private: true in its place"),
    "environments: {Live: {title: x}}": (5, '"Live" is no environment'),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_a_common_slip_is_told_with_what_to_write_instead(slip: str) -> None:
    """In its line, in words of the format, not of a YAML library."""
    line, advice = SLIPS[slip]
    problem = check(f"{GOOD}{slip}\n", schemes=SCHEMES)[0]
    assert problem.line == line
    assert advice in problem.message


@pytest.mark.parametrize(
    ("auth", "advice"),
    [
        ("bearer", "write it like {scheme: bearer}"),
        ("{type: bearer}", "write it like {scheme: bearer}"),
        ("{scheme: apikey}", 'did you mean "api_key"?'),
        ("{scheme: Bearer}", "write it like bearer"),
        ("{scheme: apiKey, in: header, name: X}", "write it like api_key"),
        ("{scheme: bearer, token: sk-abc123456789}", "a secret does not stand in a definition"),
        ("{scheme: api_key, name: X-Key, key: $WEATHER_KEY}", "a secret does not stand in a definition"),
    ],
)
def test_a_slip_in_auth_is_told_with_what_to_write_instead(auth: str, advice: str) -> None:
    """A secret in the wrong place is not repeated."""
    problem = check(GOOD.replace("{scheme: bearer}", auth), schemes=SCHEMES)[0]
    assert (problem.line, advice in problem.message, "abc123" in problem.message) == (4, True, False)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("openapi: 3.0.0\ninfo: {title: x}\npaths: {}\n", "an OpenAPI document"),
        ('{"swagger": "2.0", "info": {}}', "a Swagger document"),
        ('{"info": {"schema": "x"}, "item": []}', "a Postman collection"),
        ("curl https://a.example -H 'Accept: text/plain'\n", "a curl command"),
        ("<!DOCTYPE html>\n<html></html>\n", "an HTML or XML document"),
        ("apiVersion: v1\nkind: Service\nmetadata: {name: x}\n", "another text"),
        ("OPENAI_API_KEY=abc\n", "another text"),
    ],
)
def test_a_file_of_another_format_is_told_to_be_one(text: str, what: str) -> None:
    """One problem, not one for each of its keys."""
    assert [each.message.startswith(f"this is {what}") for each in check(text)] == [True]


@pytest.mark.parametrize(
    ("base_url", "warned"),
    [
        ("http://api.weather.example", True),
        ("http://8.8.8.8/v1", True),
        ("https://api.weather.example", False),
        ("http://127.0.0.1:8700", False),
        ("http://weather:8080", False),
        ("http://weather.svc.cluster.local", False),
    ],
)
def test_a_credential_that_would_go_out_in_the_open_is_warned_of(base_url: str, *, warned: bool) -> None:
    """A warning, since what looks public may be inside; without a credential nothing is lost."""
    text = GOOD.replace("https://api.weather.example", base_url)
    assert [each.is_warning for each in check(text, schemes=SCHEMES)] == [True] * warned
    assert check(text.replace("bearer", "none"), schemes=SCHEMES) == ()
    if warned:
        assert told(text).startswith("w.yaml:3:1: warning: base_url: the credential goes over the network unencrypted")


def test_braces_in_a_host_are_no_slots() -> None:
    """The name is shown as a slot, as in paths."""
    assert "write <region> for a value" in told(GOOD.replace("api.weather", "{region}.weather"))
