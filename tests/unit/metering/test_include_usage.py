"""Chat streams are asked for usage by bytes put into the request, which stays as it is but for these."""

import json

import pytest

from tests.steps import steps
from tieline.metering.include_usage import include_usage, is_usage_chunk, knows_usage

ASK = b'"stream_options":{"include_usage":true}'


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        (b'{"stream":true}', b"{" + ASK + b',"stream":true}'),
        (b' \n{ "model" : "m", "stream" : true } ', b" \n{" + ASK + b', "model" : "m", "stream" : true } '),
        (b'\xef\xbb\xbf{"stream":true}', b"\xef\xbb\xbf{" + ASK + b',"stream":true}'),
        (b'{"str\\u0065am":true}', b"{" + ASK + b',"str\\u0065am":true}'),
        (b'{"stream":true,"a":{"stream_options":1}}', b"{" + ASK + b',"stream":true,"a":{"stream_options":1}}'),
        (
            b'{"stream":true,"stream_options":{}}',
            b'{"stream":true,"stream_options":{"include_usage":true}}',
        ),
        (
            b'{"stream_options": {"include_obfuscation": false}, "stream":true}',
            b'{"stream_options": {"include_usage":true,"include_obfuscation": false}, "stream":true}',
        ),
        (
            b'{"stream":true,"stream_options":{"x":{"include_usage":true}}}',
            b'{"stream":true,"stream_options":{"include_usage":true,"x":{"include_usage":true}}}',
        ),
        (b'{"stream":true,"stream_options":null}', b'{"stream":true,"stream_options":{"include_usage":true}}'),
        (
            b'{"stream":true,"stream\\u005foptions":{"include_usage": false}}',
            b'{"stream":true,"stream\\u005foptions":{"include_usage": true}}',
        ),
        (b'{"stream":true,"m":"\\ud83d"}', b'{"stream":true,"stream_options":{"include_usage":true},"m":"\\ud83d"}'),
    ],
)
def test_a_stream_is_asked_for_usage(body: bytes, sent: bytes) -> None:
    """The client that did not ask does not see the chunk; a reader sees one more member and no other change."""
    asked = include_usage(body)
    assert asked == (sent, len(sent) - len(body), False)
    before, after = (json.loads(each.decode("utf-8-sig")) for each in (body, sent))
    assert after.pop("stream_options")["include_usage"] is True
    before.pop("stream_options", None)
    assert before == after


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b'{"stream":false}',
        b'{"stream":"true"}',
        b'{"stream":1}',
        b'{"model":"stream"}',
        b'{"a":{"stream":true}}',
        b'{"stream":true,"stream_options":{"include_usage":true}}',
        b'{"stream":true,"stream_options":{"include_usage":"yes"}}',
        b'{"stream":true,"stream_options":[]}',
        b'{"stream":true,"stream_options":{"include_usage":false},"stream_options":{}}',
        b'{"stream":true,"stream_options":{"include_usage":false,"include_usage":true}}',
        b'{"stream":true} {"stream":true}',
        b'{"stream":true}x',
        b'{"stream":true',
        b'{"stream":true,}',
        b'{"stream":true,"\xff":1}',
        b"stream=true",
        b'"stream":true',
    ],
)
def test_what_asks_for_no_stream_or_is_not_clear_stays_as_it_is(body: bytes) -> None:
    """Whatever it is: the upstream says what is wrong with it."""
    assert include_usage(body) == (body, 0, True)


def test_paths_that_know_the_option() -> None:
    """Completions of chats and of text, wherever a service has them."""
    assert knows_usage(b"/chat/completions")
    assert knows_usage(b"/openai/deployments/x/chat/completions")
    assert not knows_usage(b"/responses")
    assert not knows_usage(b"/chat/completions/chatcmpl-1/messages")


@pytest.mark.parametrize(
    ("data", "is_it"),
    [
        (b'{"choices":[],"usage":{"prompt_tokens":1}}', True),
        (b'{"choices":[{"delta":{"content":"a"}}],"usage":{"prompt_tokens":1}}', False),
        (b'{"choices":[],"usage":null,"prompt_filter_results":[]}', False),
        (b'{"choices":[],"model":"","prompt_filter_results":[]}', False),
        (b'{"usage":{"prompt_tokens":1}}', False),
        (b'{"choices":[{"delta":{"content":"\\"choices\\":[],\\"usage\\":{}"}}]}', False),
        (b"[DONE]", False),
        (b'{"choices":[],"usage":{', False),
    ],
)
def test_the_chunk_of_usage_is_told_from_others(data: bytes, is_it: bool) -> None:
    """One with content is shown whatever else it says."""
    assert is_usage_chunk(data) is is_it


def test_asking_takes_steps_that_grow_with_the_members_alone() -> None:
    """Also where the body has to be gone through."""

    def work(members: int) -> int:
        many = b",".join(b'"m%d":[{"a":"\\\\"}]' % each for each in range(members))
        return steps(lambda: include_usage(b'{"stream":true,"stream_options":{},' + many + b"}"))

    assert work(4000) < 11 * work(400)
