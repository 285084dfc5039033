"""Speech: a text becomes a real WAV, sent in pieces, or server-sent events that carry it."""

from base64 import b64encode
from collections.abc import Iterator

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tieline.sandbox.fields import Fields, read_json
from tieline.sandbox.refusal import Refusal
from tieline.sandbox.sound import speak, wav
from tieline.sandbox.state import sandbox_of
from tieline.sandbox.streams import Stream, event
from tieline.sandbox.switches import begin
from tieline.sandbox.words import count

_NAMES = ("model", "input", "instructions", "voice", "response_format", "speed", "stream_format")
_FORMATS = ("mp3", "opus", "aac", "flac", "wav", "pcm")
_LONGEST = 4_096  # characters
_PIECE = 8 * 1024  # bytes


async def create(request: Request) -> Response:
    """``POST /v1/audio/speech``: WAV whatever the format asked for, except ``pcm``."""
    fields = await read_json(request)
    course = await begin(request, fields.text("model"), streamed=True)
    fields.only(_NAMES)
    text = fields.text("input")
    if not 0 < len(text) <= _LONGEST:
        message = f"Invalid 'input': expected a string of 1 to {_LONGEST} characters, but got {len(text)}."
        raise Refusal(400, message, param="input", code="string_above_max_length" if text else "invalid_value")
    _voice(fields)
    fields.number("speed", 0.25, 4)
    raw = fields.choice("response_format", _FORMATS, "mp3") == "pcm"
    said = " ".join(f"w{at}" for at in range(course.tokens)) if course.tokens is not None else text
    audio = speak(said) if raw else wav(speak(said), said)
    stats = sandbox_of(request).stats
    if fields.choice("stream_format", ("sse", "audio"), "audio") == "sse":
        return Stream(_events(audio, count(text)), course, stats)
    return Stream(_pieces(audio), course, stats, media_type="audio/pcm" if raw else "audio/wav")


def _voice(fields: Fields) -> None:
    if isinstance(fields.any("voice"), dict):
        Fields(fields.object("voice") or {}, place="voice.").text("id")
    else:
        fields.text("voice")


def _pieces(audio: bytes) -> Iterator[bytes]:
    for at in range(0, len(audio), _PIECE):
        yield audio[at : at + _PIECE]


def _events(audio: bytes, tokens: int) -> Iterator[bytes]:
    for piece in _pieces(audio):
        yield event({"type": "speech.audio.delta", "audio": b64encode(piece).decode()})
    heard = len(audio) // 2_400
    usage = {"input_tokens": tokens, "output_tokens": heard, "total_tokens": tokens + heard}
    yield event({"type": "speech.audio.done", "usage": usage})


ROUTES = [Route("/v1/audio/speech", create, methods=["POST"])]
