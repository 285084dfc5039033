"""Transcription and translation: the sandbox's own speech comes back as its words; other files as name and length."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tieline.sandbox.chat import logprob
from tieline.sandbox.fields import Fields
from tieline.sandbox.forms import Upload, read_form
from tieline.sandbox.refusal import JSON, Refusal
from tieline.sandbox.sound import Heard, listen
from tieline.sandbox.state import sandbox_of
from tieline.sandbox.streams import Stream, event
from tieline.sandbox.switches import Course, begin
from tieline.sandbox.words import count, pieces

_FORMATS = ("json", "text", "srt", "verbose_json", "vtt", "diarized_json")
_SEGMENT = 8  # words
_LARGEST = 25 * 1024 * 1024


async def transcribe(request: Request) -> Response:
    """``POST /v1/audio/transcriptions``."""
    return await _answer(request, "transcribe")


async def translate(request: Request) -> Response:
    """``POST /v1/audio/translations``: the same words, said to be English."""
    return await _answer(request, "translate")


async def _answer(request: Request, task: str) -> Response:
    form = await read_form(request)
    try:
        fields = form.fields
        streamed = task == "transcribe" and fields.flag("stream")
        course = await begin(request, fields.text("model"), streamed=streamed)
        upload = form.file("file")
        if upload.size > _LARGEST:
            raise Refusal(413, f"Maximum content size limit ({_LARGEST}) exceeded.", param="file")
        heard = _heard(upload, course)
    finally:
        form.discard()
    fields.number("temperature", 0, 1)
    shape = fields.choice("response_format", _FORMATS, "json")
    if streamed:
        return Stream(_events(heard, fields), course, sandbox_of(request).stats)
    if task == "translate" and shape == "json":
        return JSON({"text": heard.text})
    return _SHAPES[shape](heard, fields, task)


def _heard(upload: Upload, course: Course) -> Heard:
    heard = listen(upload.path)
    if course.tokens is not None:
        return Heard(heard.seconds, " ".join(f"w{at}" for at in range(course.tokens)))
    told = f"The sandbox was given {upload.filename}, {upload.size} bytes, {heard.seconds} seconds."
    return Heard(heard.seconds, heard.text or told)


def _usage(heard: Heard, fields: Fields) -> dict[str, Any]:
    if fields.text("model").startswith("whisper"):
        return {"type": "duration", "seconds": heard.seconds}
    audio, written = int(heard.seconds * 10) + 1, count(heard.text or "")
    return {
        "type": "tokens",
        "input_tokens": audio,
        "input_token_details": {"text_tokens": 0, "audio_tokens": audio},
        "output_tokens": written,
        "total_tokens": audio + written,
    }


def _json(heard: Heard, fields: Fields, _task: str) -> Response:
    answer: dict[str, Any] = {"text": heard.text, "usage": _usage(heard, fields)}
    if "logprobs" in fields.texts("include"):
        answer["logprobs"] = [_without_others(token) for token in pieces(heard.text or "")]
    return JSON(answer)


def _without_others(token: str) -> dict[str, Any]:
    shown = logprob(token, 0)
    del shown["top_logprobs"]
    return shown


def _text(heard: Heard, _fields: Fields, _task: str) -> Response:
    return PlainTextResponse(f"{heard.text}\n")


def _segments(heard: Heard) -> list[tuple[float, float, str]]:
    """Start and end in seconds and the text of each segment."""
    words = (heard.text or "").split()
    each = heard.seconds / max(1, len(words))
    return [
        (round(at * each, 3), round(min(at + _SEGMENT, len(words)) * each, 3), " ".join(words[at : at + _SEGMENT]))
        for at in range(0, len(words), _SEGMENT)
    ]


def _verbose(heard: Heard, fields: Fields, task: str) -> Response:
    segments = [
        {
            "id": number,
            "seek": 0,
            "start": start,
            "end": end,
            "text": text,
            "tokens": [50_364 + number],
            "temperature": 0.0,
            "avg_logprob": -0.01,
            "compression_ratio": 1.0,
            "no_speech_prob": 0.01,
        }
        for number, (start, end, text) in enumerate(_segments(heard))
    ]
    answer: dict[str, Any] = {
        "task": task,
        "language": "english",
        "duration": heard.seconds,
        "text": heard.text,
        "usage": {"type": "duration", "seconds": heard.seconds},
    }
    wanted = fields.texts("timestamp_granularities") or ["segment"]
    if "segment" in wanted:
        answer["segments"] = segments
    if "word" in wanted:
        words = (heard.text or "").split()
        each = heard.seconds / max(1, len(words))
        answer["words"] = [
            {"word": word, "start": round(at * each, 3), "end": round((at + 1) * each, 3)}
            for at, word in enumerate(words)
        ]
    return JSON(answer)


def _diarized(heard: Heard, fields: Fields, _task: str) -> Response:
    segments = [
        {"type": "transcript.text.segment", "id": f"seg_{at}", "start": start, "end": end, "text": text, "speaker": "A"}
        for at, (start, end, text) in enumerate(_segments(heard))
    ]
    answer = {"task": "transcribe", "duration": heard.seconds, "text": heard.text, "segments": segments}
    return JSON({**answer, "usage": _usage(heard, fields)})


def _stamp(seconds: float, mark: str) -> str:
    whole = round(seconds * 1000)
    return f"{whole // 3_600_000:02}:{whole // 60_000 % 60:02}:{whole // 1000 % 60:02}{mark}{whole % 1000:03}"


def _srt(heard: Heard, _fields: Fields, _task: str) -> Response:
    parts = [
        f"{number}\n{_stamp(start, ',')} --> {_stamp(end, ',')}\n{text}\n"
        for number, (start, end, text) in enumerate(_segments(heard), 1)
    ]
    return PlainTextResponse("\n".join(parts))


def _vtt(heard: Heard, _fields: Fields, _task: str) -> Response:
    parts = [f"{_stamp(start, '.')} --> {_stamp(end, '.')}\n{text}\n" for start, end, text in _segments(heard)]
    return PlainTextResponse("WEBVTT\n\n" + "\n".join(parts))


_SHAPES: Mapping[str, Callable[[Heard, Fields, str], Response]] = {
    "json": _json,
    "text": _text,
    "srt": _srt,
    "vtt": _vtt,
    "verbose_json": _verbose,
    "diarized_json": _diarized,
}


def _events(heard: Heard, fields: Fields) -> Iterator[bytes]:
    for token in pieces(heard.text or ""):
        yield event({"type": "transcript.text.delta", "delta": token})
    usage = _usage(heard, fields)
    done = {"type": "transcript.text.done", "text": heard.text}
    yield event({**done, "usage": usage} if usage["type"] == "tokens" else done)


ROUTES = [
    Route("/v1/audio/transcriptions", transcribe, methods=["POST"]),
    Route("/v1/audio/translations", translate, methods=["POST"]),
]
