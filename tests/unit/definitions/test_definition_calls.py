"""Calls: parameters and their slots, bodies, responses, settings."""

import pytest

from tieline.definitions.model import Call, Stream
from tieline.definitions.parse import DefinitionError, parse, to_yaml

BASE = "tieline: v1\napi: weather\nbase_url: https://api.weather.example/v2\nvariables: {tenant: {default: t}}\n"


def call(text: str) -> Call:
    """The call that ``text`` (the inside of a mapping) declares."""
    definition = parse(BASE + f"calls: {{ask: {{{text}}}}}\n")
    assert parse(to_yaml(definition)) == definition
    return definition.calls["ask"]


def refusal(text: str) -> str:
    """What the error for the call says."""
    with pytest.raises(DefinitionError) as caught:
        parse(BASE + f"calls: {{ask: {{{text}}}}}\n")
    return caught.value.public


def test_the_contracts_example_is_read() -> None:
    """The call of the contract, section 6."""
    found = call(
        "title: Ask a model, use_as: action, method: POST, path: /chat/completions, "
        "parameters: {prompt: {in: body, type: text, required: true}, "
        "model: {in: body, type: text, default: gpt-4.1, private: true}}, headers: [], "
        'body: {type: json, template: {model: "<model>", messages: [{role: user, content: "<prompt>"}]}}, '
        "response: {type: json, fields: [], include_errors: false, capture_headers: []}"
    )
    assert (found.parameters["prompt"].required, found.parameters["model"].required) == (True, False)
    assert found.body.template["messages"][0]["content"] == "<prompt>"


def test_a_private_parameter_with_a_default_needs_no_credential_field() -> None:
    """It is fixed by the definition; only one without a value lives in the vault."""
    text = BASE + "calls: {ask: {path: /, parameters: {a: {in: query, default: b, private: true}}}}\n"
    assert parse(text).private_fields() == ()


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("path: /a/<x>, parameters: {x: {}}", "path"),
        ("path: '/a?q=<x>', parameters: {x: {}}", "query"),
        ("path: /a, query: [{name: q, value: '<x>'}], parameters: {x: {}}", "query"),
        ("path: /a, headers: [{name: X-A, value: 'a <x>'}], parameters: {x: {}}", "header"),
        ("path: /a, method: POST, body: {type: json, template: ['<x>']}, parameters: {x: {}}", "body"),
        ("path: /a, method: POST, body: {type: graphql, query: q, variables: {a: '<x>'}}, parameters: {x: {}}", "body"),
        ("url: 'https://<x>.weather.example/', parameters: {x: {}}", "host"),
        ("url: 'https://api.weather.example/<x>', parameters: {x: {}}", "path"),
        ("url: 'https://api.weather.example/?a=<x>', parameters: {x: {}}", "query"),
        ("path: /a, parameters: {x: {in: query}}", "query"),
        ("path: /a, method: POST, body: {type: form}, parameters: {x: {in: body}}", "body"),
    ],
)
def test_a_parameter_goes_where_its_slot_stands_or_where_it_says(text: str, place: str) -> None:
    """``in`` is needed only where there is no slot."""
    assert call(text).parameters["x"].place == place


def test_a_call_may_use_the_apis_variables() -> None:
    """One syntax for both."""
    assert call("path: /<tenant>/a").path == "/<tenant>/a"


def test_what_a_call_does_is_implied_by_its_method() -> None:
    """GET reads, POST acts; either can say otherwise."""
    assert call("path: /a").use_as == "data"
    assert call("path: /a, method: POST").use_as == "action"
    assert call("path: /a, method: POST, use_as: data").use_as == "data"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("title: Nothing", "either path (below the base URL) or url"),
        ("path: /a, url: 'https://api.weather.example/a'", "either path"),
        ("path: a", 'begin it with "/"'),
        ("path: /a/../b", "write it plainly"),
        ("path: /<a>", "calls.ask.path: <a> is no parameter of this call"),
        ("path: /<citi>, parameters: {city: {in: query}}", 'did you mean "city"?'),
        ("path: /<user-id>", "names no parameter"),
        ("path: /a, parameters: {x: {}}", "calls.ask.parameters.x: is used nowhere"),
        ("path: /a, parameters: {x: {in: path}}", "there is no <x> in the path"),
        ("path: /<x>, parameters: {x: {in: query}}", "says query, but <x> stands in the path"),
        ("path: /<tenant>, parameters: {tenant: {in: path}}", 'the API has a variable "tenant" too'),
        ("path: /a, parameters: {x-y: {in: query}}", 'parameters.x-y: "x-y" is no name'),
        ("path: /a, parameters: {Host: {in: header}}", "belongs to the connection"),
        ("path: /a, parameters: {x: {in: body}}", "a body of type none has no members"),
        ("path: /a, method: POST, body: {type: json, template: []}, parameters: {x: {in: body}}", "is no mapping"),
        ("path: /a, parameters: {x: {in: query, default: a, required: true}}", "never missing"),
        ("path: /a, parameters: {x: {in: query, default: a, optional: true}}", "never left out"),
        ("path: /a, parameters: {x: {in: query, optional: true, required: true}}", "against optional"),
        ("path: /a, parameters: {x: {in: query, private: true, required: true}}", "fixed on the server"),
        ("path: /a, parameters: {x: {in: query, required: false}}", "say what happens without it"),
        ("path: /a, parameters: {x: {in: query, default: null}}", "has no value"),
        ("path: /a, parameters: {x: {in: query, default: ''}}", "allow_blank"),
        ("path: /a, parameters: {x: {in: query, type: integer, default: 1.5}}", "does not fit type integer"),
        ("path: /a, parameters: {x: {in: query, type: integer, default: true}}", "does not fit type integer"),
        ("path: /a, parameters: {x: {in: query, type: number, default: '1'}}", "does not fit type number"),
        ("path: /a, parameters: {x: {in: query, type: boolean, default: yes}}", "expected true or false"),
        ("path: /a, parameters: {x: {in: query, type: date, default: 2026-02-30}}", "does not fit type date"),
        ("path: /a, parameters: {x: {in: query, type: datetime, default: '2026-08-21T10:00'}}", "does not fit"),
        ("path: /a, parameters: {x: {in: query, default: c, choices: [a, b]}}", "not one of the choices"),
        ("path: /a, parameters: {x: {in: query, choices: [a, 1]}}", "choices[1]: does not fit type text"),
        ("path: /a, parameters: {x: {in: query, choices: []}}", "1 to 500"),
        ("path: /a, parameters: {x: {in: query, pattern: '('}}", "no regular expression"),
        ("path: /a, parameters: {x: {in: query, pattern: '[[a'}}", "no regular expression"),
        ("path: /a, parameters: {x: {in: query, type: integer, pattern: a}}", "only text has a pattern"),
        ("path: /a, parameters: {x: {in: query, raw: true}}", "only a value in a path can be raw"),
        ("path: /a, query: [{name: q, value: '<x>'}], parameters: {x: {raw: true}}", "only a value in a path"),
        ("path: /<x>, parameters: {x: {in: path, type: list}}", "a list does not go into a path"),
        ("path: /a, parameters: {x: {in: query, type: file}}", "a file goes into a body"),
        ("path: /a, method: POST, body: {type: json}, parameters: {x: {in: body, type: file}}", "multipart or raw"),
        ("path: /a, method: HEAD, body: {type: json}", "HEAD has no body"),
        ("path: /a, body: {type: form, template: {}}", "does not go with a body of type form"),
        ("path: /a, body: {type: raw, template: x}", 'the key "content_type" is missing'),
        ("path: /a, body: {type: raw, template: 5, content_type: text/plain}", "is text"),
        ("path: /a, body: {type: raw, template: x, content_type: text}", "is no media type"),
        ("path: /a, body: {type: graphql}", 'the key "query" is missing'),
        ("path: /a, body: {type: graphql, query: q, variables: []}", "expected a mapping"),
        ("path: /a, body: {type: json, template: {a: ['<user-id>']}}", 'body.template: "<user-id>" names no parameter'),
        ("path: /a, body: {type: form, fields: [{name: a, value: b, filename: c}]}", "only multipart has files"),
        ("path: /a, body: {type: json}, headers: [{name: content-type, value: a/b}]", "body.content_type"),
        ("path: /a, headers: [{name: Authorization, value: Bearer x}]", "carries a secret"),
        ('path: /a, headers: [{name: X-A, value: "a\\r\\nb"}]', "control"),
        ("url: 'https://other.example/a'", "is not among hosts"),
        ("url: 'ftp://other.example/a'", "is no URL"),
        ("path: /a, method: POST, cache: {ttl: 5m}", "only data calls are cached"),
        ("path: /a, cache: {ttl: 5m, key: [x]}", 'cache.key[0]: "x" is no parameter'),
        ("path: /a, cache: {}", 'the key "ttl" is missing'),
        ("path: /a, cache: {ttl: 5m}, response: {type: file}", "is passed on as it comes and not kept"),
        ("path: /a, pagination: {kind: link}, response: {type: text}", "an answer of type text has no items"),
        ("path: /a, pagination: {kind: page}", 'the key "parameter" is missing'),
        ("path: /a, pagination: {kind: page, parameter: page}", 'pagination.parameter: "page" is no parameter'),
        ("path: /a, pagination: {kind: cursor, parameter: c}, parameters: {c: {in: query}}", "a cursor is found by"),
        ("path: /a, pagination: {kind: next_url}", 'the key "next" is missing'),
        ("path: /a, response: {type: text, fields: [{path: a, type: text}]}", "has no fields"),
        ("path: /a, response: {type: json, stream: {}}", "goes with type: stream only"),
        ("path: /a, response: {fields: [{path: 'a b', type: text}]}", "is no path"),
        ("path: /a, response: {fields: [{path: a, type: text}, {path: a, type: text}]}", "names a path twice"),
        ("path: /a, response: {fields: [{path: a, type: object}]}", "go together"),
        ("path: /a, response: {fields: [{path: a, type: text, parse: true}]}", "only json, objects and lists"),
        ("path: /a, response: {fields: [{path: a, type: txt}]}", 'did you mean "text"?'),
    ],
)
def test_a_call_that_does_not_fit_is_refused(text: str, expected: str) -> None:
    """Each rule about calls has its error."""
    assert expected in refusal(text)


@pytest.mark.parametrize(
    "path", ["a", "a.b", "a[0].b", "a[].b", "[].id", "[0]", "$", '"odd key".b', 'a."b.c"[]', "a_b-c.$ref"]
)
def test_paths_in_answers(path: str) -> None:
    """Members, places in lists, every item, quoted members, the whole."""
    found = call(f"path: /a, response: {{fields: [{{path: '{path}', type: text}}]}}")
    assert found.response.fields[0].path == path


def test_a_stream_call_has_its_shape() -> None:
    """Events by name, the text delta, usage, the end; and defaults where nothing is said."""
    found = call(
        "path: /a, method: POST, response: {type: stream, stream: {text: {path: 'choices[0].delta.content'}, "
        "usage: {event: done, path: usage}, end: '[DONE]', events: [{fields: [{path: id, type: text}]}]}}"
    )
    assert found.response.stream is not None
    assert (found.response.stream.format, found.response.stream.end) == ("sse", "[DONE]")
    assert call("path: /a, response: {type: stream}").response.stream == Stream()


def test_every_setting_of_a_call_is_read_and_written() -> None:
    """Timeout, retries, idempotency, cache, pagination, redirects, multipart files, typed parameters."""
    found = call(
        "folder: F, notes: n, path: '/a/<f>', timeout: 1500ms, retry: {attempts: 3}, idempotency: {}, use_as: data, "
        "method: POST, cache: {ttl: 5m, key: [f]}, follow_redirects: true, "
        "pagination: {kind: cursor, parameter: c, next: meta.next, items: 'data[]', most: {items: 5, time: 90s}}, "
        "parameters: {f: {raw: true, pattern: '[a-z]+', notes: n, title: T}, c: {in: query, optional: true}, "
        "d: {type: datetime, default: '2026-08-21T10:00:00Z', in: query}, u: {type: file}, "
        "l: {in: query, type: list, default: [1], allow_blank: true}}, "
        "body: {type: multipart, fields: [{name: up, value: '<u>', filename: a.txt, content_type: text/plain}]}, "
        "response: {type: csv, include_errors: true, capture_headers: [X-Id], "
        "fields: [{path: a, type: object, object: Thing, list: true, include: false, parse: true, pinned: true, "
        "sample: 1}]}"
    )
    assert (found.timeout, found.retry_attempts, found.idempotency_header) == (1.5, 3, "Idempotency-Key")
    assert (found.pagination.most_items, found.pagination.most_time) == (5, 90.0)  # type: ignore[union-attr]
    assert found.response.capture_headers == ("x-id",)
