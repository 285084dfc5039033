"""Initialize: what is learned from samples and real answers, shown, kept and saved; what people decided survives it."""

import asyncio
import json
from typing import Any

import pytest

from tests.contract.admin.conftest import Admin
from tieline.core.errors import CredentialMissing, DestinationNotAllowed, InvalidParameter, UpstreamTimeout
from tieline.ports.operator import TrialAnswer, TrialFile

CALL = "/apis/echo/calls/things"
LEARN = f"{CALL}/initialize"
SECRET = "sk-sandbox-" + "not-real-0123456789"
PEOPLE = {"people": [{"id": 1, "name": "Ann", "born": "1999-01-31"}, {"id": 2, "name": None, "born": "2001-02-03"}]}


async def things(admin: Admin, **call: Any) -> None:
    """An API with the call ``things``."""
    calls = {"things": {"path": "/things", **call}}
    definition = {"tieline": "v1", "api": "echo", "base_url": "https://echo.example", "calls": calls}
    await admin.made("POST", "/apis", {"name": "echo", "definition": definition})


async def learn(admin: Admin, sample: Any, **more: Any) -> Any:
    """What a sample teaches; one that is no text is sent as JSON."""
    text = sample if isinstance(sample, str) else json.dumps(sample)
    return await admin.made("POST", LEARN, {"sample": text, **more})


def types(learned: Any) -> dict[str, str]:
    """Types by path."""
    return {each["path"]: each["type"] + ("[]" if each["list"] else "") for each in learned["fields"]}


async def saved(admin: Admin) -> Any:
    """The fields that the call has, by path."""
    response = (await admin.made("GET", CALL))["definition"].get("response", {})
    return {each["path"]: each for each in response.get("fields", ())}


async def test_a_sample_shows_its_fields_and_saves_nothing(admin: Admin) -> None:
    """Types, lists, samples, and everything new; the definition stays."""
    await things(admin)
    learned = await learn(admin, PEOPLE)
    assert types(learned) == {
        "people": "object[]", "people[].id": "integer", "people[].name": "text", "people[].born": "date",
    }  # fmt: skip
    assert (learned["status"], learned["type"], learned["saved"]) == (None, "json", False)
    assert learned["raw"] == json.dumps(PEOPLE)
    assert {each["kind"] for each in learned["diff"]} == {"new"}
    assert (await admin.made("GET", "/apis/echo"))["revision"] == 1


async def test_saving_puts_the_fields_into_the_call(admin: Admin) -> None:
    """With one revision and one audit event; without their samples."""
    await things(admin)
    learned = await learn(admin, PEOPLE, save=True)
    assert (learned["saved"], learned["revision"]) == (True, 2)
    fields = await saved(admin)
    assert fields["people[].name"] == {"path": "people[].name", "type": "text", "optional": True}
    event = (await admin.made("GET", "/audit?limit=1"))["items"][0]
    assert (event["kind"], event["data"]["name"], event["data"]["revision"]) == ("call.initialized", "things", 2)


async def test_several_samples_are_learned_from_together(admin: Admin) -> None:
    """Null decides nothing, whole numbers and decimals widen, what is missing in one is optional."""
    await things(admin)
    texts = ['{"a": null, "b": 1, "c": "x"}', '{"a": 5, "b": 1.5}', '{"a": 6, "b": 2, "c": null}']
    learned = await admin.made("POST", LEARN, {"samples": texts, "save": True})
    found = {each["path"]: (each["type"], each["optional"]) for each in learned["fields"]}
    assert found == {"a": ("integer", True), "b": ("number", False), "c": ("text", True)}


async def test_another_sample_widens_what_is_saved(admin: Admin) -> None:
    """Nothing disappears; the difference says what came and what became optional."""
    await things(admin)
    await learn(admin, {"a": 1, "b": "x"}, save=True)
    learned = await learn(admin, {"a": 1.5, "c": True}, save=True)
    told = {each["path"]: (each["kind"], each["what"]) for each in learned["diff"]}
    assert told == {"a": ("changed", ["type"]), "b": ("changed", ["optional"]), "c": ("new", [])}
    assert (await saved(admin)).keys() == {"a", "b", "c"}


async def test_anew_forgets_what_earlier_answers_showed(admin: Admin) -> None:
    """What the answer lacks is gone, and the difference says so."""
    await things(admin)
    await learn(admin, {"a": 1, "b": "x"}, save=True)
    learned = await learn(admin, {"a": "one"}, save=True, anew=True)
    told = {each["path"]: each["kind"] for each in learned["diff"]}
    assert told == {"a": "changed", "b": "gone"}
    assert (await saved(admin)).keys() == {"a"}


@pytest.mark.parametrize("anew", [False, True])
async def test_what_people_decided_survives(admin: Admin, anew: bool) -> None:
    """A pinned type, an excluded field and a name stay, whatever comes."""
    await things(admin)
    await learn(admin, {"id": 7, "secret": "x", "title": "t"}, save=True)
    fields = [
        {"path": "id", "type": "text", "pinned": True},
        {"path": "secret", "type": "text", "include": False},
        {"path": "title", "type": "text", "name": "heading"},
    ]
    await admin.made("PUT", CALL, {"path": "/things", "response": {"type": "json", "fields": fields}})
    await learn(admin, {"id": 8.5, "secret": "y", "title": "u", "new": 1}, save=True, anew=anew)
    found = await saved(admin)
    assert (found["id"]["type"], found["id"]["pinned"]) == ("text", True)
    assert found["secret"]["include"] is False
    assert found["title"]["name"] == "heading"
    assert "new" in found


@pytest.mark.parametrize(
    ("keep", "kept"),
    [(False, None), (True, ["x", "xxxxxxxx", 999]), ("masked", ["x", "xxxxxxxx", 999]), ("whole", ["a", "Ann Lee", 5])],
)
async def test_samples_are_kept_only_as_asked_for(admin: Admin, keep: Any, kept: Any) -> None:
    """None, masked, or whole; the operator who pastes sees them either way."""
    await things(admin)
    document = {"id": "a", "name": "Ann Lee", "age": 5}
    learned = await learn(admin, document, save=True, keep_samples=keep)
    assert [each["sample"] for each in learned["fields"]] == ["a", "Ann Lee", 5]
    samples = [each.get("sample") for each in (await saved(admin)).values()]
    assert samples == (kept or [None, None, None])


async def test_samples_of_secrets_are_masked_even_when_kept_whole(admin: Admin) -> None:
    """By their names and by their looks; a count of tokens is none."""
    await things(admin)
    document = {"access_token": "abc123def", "note": f"use {SECRET}", "usage": {"total_token": 5}, "id": "plain"}
    learned = await learn(admin, document, save=True, keep_samples="whole")
    shown = {each["path"]: each["sample"] for each in learned["fields"]}
    assert shown["access_token"] == "x" * 32
    assert shown["note"] == "x" * 128
    assert (shown["usage.total_token"], shown["id"]) == (5, "plain")
    assert SECRET not in json.dumps((await admin.made("GET", CALL))["definition"])


@pytest.mark.parametrize(
    ("sample", "content_type", "kind"),
    [
        ("<order><id>7</id></order>", "", "xml"),
        ("id,name\n1,Ann\n2,Bob\n", "text/csv", "csv"),
        ("id;name\n1;Ann\n", "", "csv"),
        ("Hello, world", "text/plain", "text"),
        ("12.5", "text/plain", "number"),
        ("true", "", "boolean"),
        ("   ", "", "empty"),
        ("%PDF-1.7 …", "", "file"),
        ("<svg/>", "image/svg+xml", "image"),
        ("<!doctype html><p>x</p>", "text/html", "text"),
        ('data: {"a": 1}\n\ndata: {"a": 2}\n\n', "", "stream"),
        ('{"a": 1}\n{"a": 2}\n', "", "stream"),
        ('{"a": 1}', "application/x-ndjson", "stream"),
        ('[{"a": 1}, {"a": 2}]', "application/json", "json"),
    ],
)
async def test_the_type_of_an_answer_is_found(admin: Admin, sample: str, content_type: str, kind: str) -> None:
    """By its media type, its first bytes, its look; and saved as such."""
    await things(admin)
    learned = await learn(admin, sample, content_type=content_type, save=True)
    assert learned["type"] == kind
    response = (await admin.made("GET", CALL))["definition"].get("response", {"type": "json"})
    assert response["type"] == kind


async def test_a_providers_stream_is_recognised_by_its_preset(admin: Admin) -> None:
    """The preset is proposed and saved; its events are shown with their fields, and its text."""
    await things(admin)
    chunk = {"id": "c1", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": "Hi"}}]}
    sample = f"data: {json.dumps(chunk)}\n\n" * 2 + "data: [DONE]\n\n"
    learned = await learn(admin, sample, content_type="text/event-stream", save=True)
    assert learned["response"] == {"type": "stream", "stream": {"preset": "openai_chat"}}
    assert learned["text"] == "HiHi"
    assert [each["path"] for each in learned["events"][0]["fields"]][:2] == ["id", "object"]


async def test_another_stream_has_typed_events_that_later_samples_widen(admin: Admin) -> None:
    """Events by name with their fields; initialized again, an operator's shape stays and the fields widen."""
    await things(admin)
    sample = 'event: piece\ndata: {"text": "a", "at": 1}\n\nevent: end\ndata: {"cost": 5}\n\n'
    learned = await learn(admin, sample, content_type="text/event-stream", save=True)
    assert learned["response"]["stream"]["text"] == {"path": "text", "event": "piece"}
    again = await learn(admin, sample.replace("5", "5.5"), content_type="text/event-stream", save=True)
    assert [(each["event"], each["path"], each["what"]) for each in again["diff"]] == [("end", "cost", ["type"])]


async def test_pagination_is_proposed_and_saved_when_confirmed(admin: Admin) -> None:
    """Not by saving alone; with the parameter that it needs."""
    await things(admin)
    document = {"items": [{"id": 1}], "nextPageToken": "abc"}
    learned = await learn(admin, document, save=True)
    assert learned["pagination"]["pagination"] == {
        "kind": "cursor", "parameter": "pageToken", "items": "items", "next": "nextPageToken",
    }  # fmt: skip
    assert "pagination" not in (await admin.made("GET", CALL))["definition"]
    await learn(admin, document, save=True, pagination=True)
    call = (await admin.made("GET", CALL))["definition"]
    assert call["pagination"]["parameter"] == "pageToken"
    assert call["parameters"]["pageToken"]["optional"] is True


@pytest.mark.parametrize(
    ("response", "sample", "words"),
    [
        ({"type": "xml"}, "{}", "no well-formed XML"),
        ({"type": "number"}, "many", "no number"),
        ({"type": "stream"}, '{"a": 1}', "this is none"),
        ({"fields": [{"path": "a", "type": "text"}]}, 'data: {"a": 1}\n\n', "the answer is a stream"),
        ({"fields": [{"path": "a", "type": "text"}]}, '{"a": ', "no JSON"),
        ({}, "<a><b></a>x", None),
        ({"type": "text"}, '{"a": 1}', None),
        ({"type": "file"}, "anything", None),
    ],
)
async def test_an_answer_of_another_type_than_the_call_says_is_refused(
    admin: Admin, response: Any, sample: str, words: str | None
) -> None:
    """A type that somebody chose stays; ``anew`` takes what came."""
    await things(admin, response=response)
    reply = await admin("POST", LEARN, {"sample": sample, "save": True})
    assert reply.status == (200 if words is None else 422)
    assert words is None or words in reply.error["message"]
    assert (await admin("POST", LEARN, {"sample": sample, "anew": True})).status == 200


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({}, 422, "Give parameters"),
        ({"sample": "{}", "samples": ["{}"]}, 422, "one of them"),
        ({"sample": "{}", "parameters": {}}, 422, "one of them"),
        ({"sample": "{}", "files": {"a": {"base64": ""}}}, 422, "one of them"),
        ({"parameters": {}, "files": {"a": {"base64": "!"}}}, 422, "base64"),
        ({"parameters": {}, "files": {"a": {}}}, 422, "base64"),
        ({"parameters": {}, "environment": "staging"}, 422, "environment"),
        ({"samples": []}, 422, "samples"),
        ({"samples": ["{}"] * 21}, 422, "samples"),
        ({"sample": ""}, 422, "sample"),
        ({"sample": "x" * (4 * 1024 * 1024 + 1)}, 422, "sample"),
        ({"samples": ["{}", "<a/>"]}, 422, "several types"),
        ({"sample": "{}", "keep_samples": "all"}, 422, "keep_samples"),
        ({"sample": "{}", "colour": 1}, 422, "…"),
    ],
)
async def test_what_cannot_be_looked_at_is_refused(admin: Admin, body: Any, status: int, words: str) -> None:
    """With a reason, and nothing is saved."""
    await things(admin)
    reply = await admin("POST", LEARN, {**body, "save": True})
    assert reply.status == status
    assert words in reply.error["message"] or words == "…"
    assert (await admin.made("GET", "/apis/echo"))["revision"] == 1


async def test_hostile_samples_are_answers_like_any_other(admin: Admin) -> None:
    """Deep, wide, odd names, repeated keys: bounded, and saved as what the definition can hold."""
    await things(admin)
    deep = "[" * 400 + "]" * 400
    odd = '{"__proto__": {"x": 1}, "constructor": 2, "": 3, "a\\"b": 4, "a": 1, "a": "two", "\\u0000": 5}'
    wide = json.dumps({f"k{number}": {"v": number} for number in range(3000)})
    for sample in (deep, odd, wide, '{"big": ' + "9" * 400 + "}", '["\\ud83d\\ude00"]'):
        learned = await learn(admin, sample, save=True, anew=True, keep_samples="whole")
        assert learned["saved"]
        assert len(learned["fields"]) <= 2_000
    assert (await admin("GET", f"{CALL}/schema")).status == 200
    assert (await admin("POST", LEARN, {"sample": '"\\ud800"', "anew": True})).json["type"] == "text"


async def test_a_viewer_learns_nothing(admin: Admin) -> None:
    """Looking uses the machine and shows an answer: editors only, saved or not."""
    await things(admin)
    sources: tuple[dict[str, Any], ...] = ({"sample": "{}"}, {"parameters": {}})
    for source in sources:
        for save in (False, True):
            refused = await admin("POST", LEARN, {**source, "save": save}, role="viewer")
            assert (refused.status, refused.error["code"]) == (403, "forbidden")
    assert admin.trier.asked == []


async def test_many_who_teach_at_once_lose_nothing(admin: Admin) -> None:
    """Each is merged into the call as it is by then."""
    await things(admin)
    replies = await asyncio.gather(
        *(admin("POST", LEARN, {"sample": json.dumps({f"f{number}": 1}), "save": True}) for number in range(6))
    )
    assert [reply.status for reply in replies] == [200] * 6
    assert (await saved(admin)).keys() == {f"f{number}" for number in range(6)}


def answered(
    body: bytes, content_type: str = "application/json", status: int = 200, *, whole: bool = True
) -> TrialAnswer:
    """An upstream's answer."""
    return TrialAnswer(status, [("content-type", content_type), ("x-id", "1"), ("x-id", "2")], body, whole)


async def sent(admin: Admin, **more: Any) -> Any:
    """What one real request teaches."""
    return await admin.made("POST", LEARN, {"parameters": {}, **more})


async def test_one_real_request_is_sent_and_learned_from(admin: Admin) -> None:
    """With its parameters and files, in its environment; status, headers and the raw answer are shown."""
    await things(admin)
    admin.trier.answer = answered(json.dumps(PEOPLE).encode())
    files = {"picture": {"filename": "p.png", "content_type": "image/png", "base64": "iVBORw=="}}
    learned = await sent(admin, parameters={"page": 2}, files=files, environment="development", save=True)
    (attempt,) = admin.trier.asked
    assert (attempt.api, attempt.call, attempt.environment) == ("echo", "things", "development")
    assert attempt.values == {"page": 2}
    assert attempt.files == {"picture": TrialFile("p.png", "image/png", b"\x89PNG")}
    assert (learned["status"], learned["headers"]["x-id"], learned["saved"]) == (200, "1, 2", True)
    assert learned["raw"] == json.dumps(PEOPLE)
    assert (await saved(admin)).keys() == types(learned).keys()


async def test_one_real_request_is_sent_with_the_connection_of_a_user(admin: Admin) -> None:
    """Of the app that is named; samples go with no connection, as nothing is sent."""
    await things(admin)
    app = (await admin.made("POST", "/apps", {"name": "blog", "apis": ["echo"]}))["id"]
    admin.trier.answer = answered(json.dumps(PEOPLE).encode())
    await sent(admin, connection="ann", app="blog")
    assert admin.trier.asked[-1].end_user == (app, "ann")
    refused = await admin("POST", LEARN, {"sample": "{}", "connection": "ann"})
    assert (refused.status, len(admin.trier.asked)) == (422, 1)


async def test_every_request_that_was_sent_is_audited(admin: Admin) -> None:
    """Saved or not, answered or not: a credential was used."""
    await things(admin)
    await sent(admin)
    await sent(admin, save=True)
    admin.trier.answer = UpstreamTimeout("The upstream took too long.")
    failed = await admin("POST", LEARN, {"parameters": {}})
    assert (failed.status, failed.error["code"]) == (504, "upstream_timeout")
    events = (await admin.made("GET", "/audit?limit=3"))["items"]
    assert [event["kind"] for event in events] == ["call.initialized"] * 3
    assert [(event["data"]["status"], event["data"]["revision"]) for event in events] == [
        (None, None), (200, 2), (200, None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidParameter("The parameter a must be text.", param="a"), 400),
        (CredentialMissing("The API has no credential."), 424),
        (DestinationNotAllowed("The address is not allowed."), 403),
    ],
)
async def test_what_was_not_sent_is_no_event(admin: Admin, error: Any, status: int) -> None:
    """A refusal before anything went out is told with its own status."""
    await things(admin)
    admin.trier.answer = error
    refused = await admin("POST", LEARN, {"parameters": {}})
    assert (refused.status, refused.error["message"]) == (status, error.public)
    assert (await admin.made("GET", "/audit?limit=1"))["items"][0]["kind"] == "api.added"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (answered(b'{"error": "no"}', status=401), "answered 401"),
        (answered(b"", status=302), "answered 302"),
        (answered(b'[{"a": 1}, {"a"', whole=False), "too long"),
        (answered("[é".encode()[:-1], whole=False), "too long"),
    ],
)
async def test_an_answer_that_teaches_nothing_is_shown(admin: Admin, answer: TrialAnswer, words: str) -> None:
    """Its status and text help to find out why; nothing is saved."""
    await things(admin)
    admin.trier.answer = answer
    learned = await sent(admin, save=True)
    assert words in learned["problem"]
    assert (learned["status"], learned["saved"], learned["fields"]) == (answer.status, False, [])
    assert learned["raw"] is not None
    assert (await admin.made("GET", "/apis/echo"))["revision"] == 1


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (answered(b"\x89PNG\r\n\x1a\n...", "image/png", whole=False), "image"),
        (answered(b"\x00\x01" * 50, "application/octet-stream", whole=False), "file"),
        (answered(b"", status=204), "empty"),
        (answered(b'data: {"a": 1}\n\ndata: {"a"', "text/event-stream", whole=False), "stream"),
    ],
)
async def test_of_files_and_streams_the_beginning_is_enough(admin: Admin, answer: TrialAnswer, kind: str) -> None:
    """They are not read to their end."""
    await things(admin)
    admin.trier.answer = answer
    learned = await sent(admin, save=True)
    assert (learned["type"], learned["saved"], learned["problem"]) == (kind, True, None)
    assert (learned["raw"] is None) == (kind in {"image", "file"})


async def test_a_call_that_changed_under_way_is_not_taught(admin: Admin) -> None:
    """Its answers may be others now; a changed response alone is no reason: the answer is merged into it."""
    await things(admin)
    run = admin.trier.run

    async def run_slowly(attempt: Any) -> TrialAnswer:
        await admin.made("PUT", CALL, change)
        return await run(attempt)

    admin.trier.run = run_slowly  # type: ignore[method-assign]
    change: Any = {"path": "/others"}
    lost = await admin("POST", LEARN, {"parameters": {}, "save": True})
    assert (lost.status, lost.error["code"]) == (412, "precondition_failed")
    change = {"path": "/others", "response": {"fields": [{"path": "id", "type": "text", "pinned": True}]}}
    await sent(admin, save=True)
    assert (await saved(admin))["id"]["type"] == "text"
    change = {"path": "/others", "response": {"type": "xml"}}
    lost = await admin("POST", LEARN, {"parameters": {}, "save": True})
    assert (lost.status, lost.error["code"]) == (412, "precondition_failed")
    assert "does not fit" in lost.error["message"]
    event = (await admin.made("GET", "/audit?limit=1"))["items"][0]
    assert (event["kind"], event["data"]["status"], event["data"]["revision"]) == ("call.initialized", 200, None)


async def test_cookies_are_shown_without_what_they_hold(admin: Admin) -> None:
    """An answer's session is nobody's business."""
    await things(admin)
    cookies = [("set-cookie", "sid=abc123; Path=/; HttpOnly"), ("set-cookie", "theme=dark")]
    admin.trier.answer = TrialAnswer(200, cookies, b"{}", whole=True)
    assert (await sent(admin))["headers"]["set-cookie"] == "sid=…; Path=/; HttpOnly, theme=…"


async def test_pagination_is_found_by_parameters_and_headers(admin: Admin) -> None:
    """A page in the middle tells nothing of where pages begin; a header may tell what comes next."""
    await things(admin, parameters={"page": {"in": "query", "type": "integer", "optional": True}})
    admin.trier.answer = answered(b'[{"id": 1}]')
    assert (await sent(admin, parameters={"page": 3}))["pagination"]["pagination"]["start"] == 1
    link = [("content-type", "application/json"), ("link", '</things?page=2>; rel="next"')]
    admin.trier.answer = TrialAnswer(200, link, b'[{"id": 1}]', whole=True)
    assert (await sent(admin))["pagination"]["pagination"] == {"kind": "link", "items": "$"}
