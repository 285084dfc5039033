"""A secret in pieces is found in a stream's own bytes."""

import json

import pytest

from tests.steps import steps
from tieline.dataplane.answers.pieces_mask import mask_pieces

KEY = 'sk-unit/"not\\real"-key'


def delta(text: str) -> bytes:
    """One event, as the OpenAI API has it."""
    return b"data: %b\n\n" % json.dumps({"choices": [{"delta": {"content": text}}]}).encode()


@pytest.mark.parametrize("size", [1, 2, 5, 21])
def test_pieces_of_any_size_are_stars(size: int) -> None:
    """Each as long as it was written; what stands around them stays."""
    pieces = [KEY[start : start + size] for start in range(0, len(KEY), size)]
    body = delta("Hi ") + b"".join(map(delta, pieces)) + delta(" bye")
    shown = mask_pieces(body, [KEY.encode()], whole=True)
    texts = [json.loads(line[6:])["choices"][0]["delta"]["content"] for line in shown.split(b"\n\n") if line]
    assert (texts[0], texts[-1], set("".join(texts[1:-1]))) == ("Hi ", " bye", {"*"})
    assert len(shown) == len(body)


@pytest.mark.parametrize(
    "body",
    [
        b'["sk-unit-not", "-a-real-key"]',
        b'{"a": {"t": "sk-unit-not"}}\n{"a": {"t": "-a-real-key"}}',
        b'{"t":"sk-unit-not"}{"u":"-"}{"t" : "-a-real-key"}',
        b"data: sk-unit-not\n\ndata:-a-real-key\n\n",
    ],
    ids=["list", "lines", "members between", "plain lines"],
)
def test_pieces_are_found_in_every_framing(body: bytes) -> None:
    """By the member's name, or in order where there is none."""
    shown = mask_pieces(body, [b"sk-unit-not-a-real-key"], whole=True)
    assert b"sk-unit" not in shown
    assert b"real" not in shown


def test_a_beginning_at_the_cut_is_hidden_too() -> None:
    """Only there: elsewhere texts that merely begin like a secret stay."""
    body = delta("sk-unit-n") + delta("o, ") + delta("sk-unit")
    assert mask_pieces(body, [b"sk-unit-not-a-real-key"], whole=True) == body
    assert mask_pieces(body, [b"sk-unit-not-a-real-key"], whole=False) == body.replace(b'"sk-unit"', b'"*******"')


@pytest.mark.parametrize(
    "text", [b'"\\', b'"a":', b'"', b'data: "', b"data:\n", b'"a": "b", ', b'\\"', b"data: ", b" "]
)
def test_steps_grow_with_the_bytes(text: bytes) -> None:
    """Whatever is repeated; with the square of its 64 KiB the last would hardly end."""

    def counted(size: int) -> int:
        return steps(lambda: mask_pieces(text * (size // len(text)), [b"x" * 12], whole=True))

    small, large = counted(4_000), counted(16_000)
    assert large <= 4.5 * small + 1_000
    counted(65_536)
