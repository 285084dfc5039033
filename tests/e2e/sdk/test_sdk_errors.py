"""Each error of contract section 4 that this version makes raises the SDK's own class and is retried or not.

The client is the SDK with its usual retries, cut down to one so that the tests stay quick; a tap before Tieline counts
what it really sent.
"""

import time
from typing import Any

import openai
import pytest
from openai._models import FinalRequestOptions

from tests.e2e.conftest import PROVIDER_KEY
from tests.e2e.sdk.cases import FAILURES, MODEL, OTHER_KEY, REFUSALS, Case
from tests.e2e.sdk.conftest import Both, Stage, settled

HELLO: Any = [{"role": "user", "content": "Hello you"}]


async def refused(case: Case, both: Both, stage: Stage, keys: dict[str, str], request: Any) -> openai.APIStatusError:
    """Send what the case says through the tap; the exception."""
    if case.api not in {"openai", "opnai"}:
        request.getfixturevalue(case.api)
    base = f"http://127.0.0.1:{stage.tap.port}/relay/{case.api}"
    client = await both.open(base, keys[case.key], max_retries=1)
    headers = {name: keys["chat"] if value == OTHER_KEY else value for name, value in case.headers.items()}
    said = [{"role": "user", "content": case.content}]
    ask = {"model": case.model, "messages": said, "extra_headers": headers, "extra_query": case.query}
    with pytest.raises(openai.APIStatusError) as caught:
        await settled(client.chat.completions.create(**ask))
    return caught.value


def check(error: openai.APIStatusError, case: Case) -> None:
    """It is the very class, and holds all that a program or a person needs."""
    assert type(error) is case.raised
    assert (error.status_code, error.code, error.type) == (case.status, case.code, "tieline_error")
    assert case.said in error.message
    assert case.param is None or error.param == case.param
    assert isinstance(error.body, dict)
    assert error.response.headers["tieline-error"] == case.code
    assert error.response.headers["tieline-request-id"] == error.body["request_id"]


@pytest.mark.parametrize("case", REFUSALS, ids=str)
async def test_a_refusal_raises_its_class_and_is_not_retried(
    case: Case, both: Both, stage: Stage, keys: dict[str, str], request: pytest.FixtureRequest
) -> None:
    """x-should-retry: false; one attempt reached Tieline and none the upstream."""
    before = stage.tap.requests, stage.upstream_requests()
    error = await refused(case, both, stage, keys, request)
    check(error, case)
    assert error.response.headers["x-should-retry"] == "false"
    assert (stage.tap.requests, stage.upstream_requests()) == (before[0] + 1, before[1])


@pytest.mark.parametrize("case", FAILURES, ids=str)
async def test_a_failing_upstream_raises_its_class_and_is_retried(
    case: Case, both: Both, stage: Stage, keys: dict[str, str], request: pytest.FixtureRequest
) -> None:
    """x-should-retry: true; the SDK comes again as often as it is allowed to."""
    before = stage.tap.requests
    error = await refused(case, both, stage, keys, request)
    check(error, case)
    assert error.response.headers["x-should-retry"] == "true"
    assert stage.tap.requests == before + 2


async def test_no_key_at_all_raises_authentication_error(both: Both, stage: Stage) -> None:
    """The SDK refuses to send no key, so the header is left out: the answer says where a key goes."""
    client = await both.open(stage.base(), stage.key)
    with pytest.raises(openai.AuthenticationError, match="No app key was sent") as caught:
        await settled(client.models.list(extra_headers={"Authorization": openai.Omit()}))
    assert caught.value.code == "missing_app_key"


async def test_a_method_that_is_never_relayed_raises_status_error(both: Both, stage: Stage) -> None:
    """TRACE, by the way the SDK has for requests of one's own."""
    client = await both.open(stage.base(), stage.key)
    with pytest.raises(openai.APIStatusError, match="never relayed") as caught:
        await settled(client.request(object, FinalRequestOptions.construct(method="TRACE", url="/models")))
    assert (caught.value.status_code, caught.value.code) == (405, "method_not_allowed")


async def test_a_path_that_could_be_read_in_two_ways_is_a_bad_request(both: Both, stage: Stage) -> None:
    """A file id that holds an encoded slash and dots is refused, not passed on."""
    client = await both.open(stage.base(), stage.key)
    with pytest.raises(openai.BadRequestError) as caught:
        await settled(client.get("/files/..%2Fmodels", cast_to=object))
    assert caught.value.code == "invalid_request"


@pytest.mark.parametrize(
    ("call", "needed", "param"),
    [
        (lambda client: client.files.list(), '"Files: Read"', "openai:files=read"),
        (lambda client: client.files.create(file=b"x", purpose="batch"), '"Files: Write"', "openai:files=write"),
        (lambda client: client.files.delete("file-1"), '"Files: Write"', "openai:files=write"),
        (
            lambda client: client.embeddings.create(model="x", input="x"),
            '"Embeddings: Request"',
            "openai:embeddings=request",
        ),
        (lambda client: client.responses.create(model="x", input="x"), '"Responses: Write"', "openai:responses=write"),
        (lambda client: client.batches.list(), '"Batch: Read"', "openai:batch=read"),
    ],
)
async def test_a_missing_permission_names_what_to_grant(
    call: Any, needed: str, param: str, both: Both, stage: Stage, keys: dict[str, str]
) -> None:
    """In the words of the console, and as the option that grants it."""
    client = await both.open(stage.base(), keys["chat"])
    with pytest.raises(openai.PermissionDeniedError) as caught:
        await settled(call(client))
    assert f"This key needs {needed} on OpenAI." in caught.value.message
    assert caught.value.param == param


async def test_what_a_restricted_key_may_it_can(both: Both, stage: Stage, keys: dict[str, str]) -> None:
    """The same key that was refused everything else chats."""
    client = await both.open(stage.base(), keys["chat"])
    answer = await settled(client.chat.completions.create(model=MODEL, messages=HELLO))
    assert answer.choices[0].message.content == "You said: Hello you"


@pytest.mark.parametrize(
    ("model", "raised", "attempts"),
    [
        ("sandbox-401", openai.AuthenticationError, 1),
        ("sandbox-403", openai.PermissionDeniedError, 1),
        ("sandbox-404", openai.NotFoundError, 1),
        ("sandbox-429", openai.RateLimitError, 2),
        ("sandbox-500", openai.InternalServerError, 2),
        ("sandbox-503", openai.InternalServerError, 2),
    ],
)
async def test_the_upstreams_own_errors_pass_through(
    model: str, raised: type[openai.APIStatusError], attempts: int, both: Both, stage: Stage
) -> None:
    """Class, words, headers and retries are those that the SDK has without Tieline; nothing claims to be Tieline's."""
    errors: list[Any] = []
    before = stage.upstream_requests()
    for base, key, retries in ((stage.base(), stage.key, 1), (stage.sandbox, PROVIDER_KEY, 0)):
        client = await both.open(base, key, max_retries=retries)
        with pytest.raises(raised) as caught:
            await settled(client.chat.completions.create(model=model, messages=HELLO))
        assert type(caught.value) is raised
        errors.append(caught.value)
    assert stage.upstream_requests() == before + attempts + 1
    relayed, direct = errors
    assert (relayed.message, relayed.body) == (direct.message, direct.body)
    assert relayed.request_id is not None
    assert relayed.response.headers.get("retry-after") == direct.response.headers.get("retry-after")
    assert "tieline-error" not in relayed.response.headers
    assert "x-should-retry" not in relayed.response.headers


async def test_a_bad_request_is_told_by_the_upstream(client: Any) -> None:
    """Tieline does not judge bodies: a missing parameter is the provider's own BadRequestError."""
    with pytest.raises(openai.BadRequestError) as caught:
        await settled(client.chat.completions.create(model=MODEL, messages=HELLO, temperature=9))
    assert caught.value.param == "temperature"
    assert "tieline-error" not in caught.value.response.headers


async def test_retry_after_is_honoured(both: Both, stage: Stage) -> None:
    """The upstream's 429 asks for one second, and the SDK waits it before it comes again."""
    client = await both.open(stage.base(), stage.key, max_retries=1)
    begun = time.monotonic()
    with pytest.raises(openai.RateLimitError) as caught:
        await settled(client.chat.completions.create(model="sandbox-429", messages=HELLO))
    assert caught.value.response.headers["retry-after"] == "1"
    assert time.monotonic() - begun >= 1


async def test_a_flaky_upstream_is_bridged_by_retries(both: Both, stage: Stage) -> None:
    """With the SDK's usual two retries, two errors of the upstream are never seen."""
    client = await both.open(stage.base(), stage.key)
    model = f"sandbox-flaky-2-{both.kind.__name__.lower()}"
    answer = await settled(client.chat.completions.create(model=model, messages=HELLO))
    assert answer.choices[0].message.content == "You said: Hello you"
