"""The sandbox as one ASGI application: every endpoint, behind the gate. Holds no endpoint of OpenAI's itself."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tieline.sandbox import (
    anthropic,
    batches,
    chat,
    completions,
    conversations,
    embeddings,
    files,
    gemini,
    images,
    models,
    moderations,
    realtime,
    rerank,
    responses,
    speech,
    transcription,
    uploads,
    vector_stores,
)
from tieline.sandbox.fields import read_query
from tieline.sandbox.gate import PREFIX, Gate
from tieline.sandbox.refusal import JSON, Answered, Refusal, conclude, refuse, refuse_address
from tieline.sandbox.state import Sandbox, sandbox_of
from tieline.sandbox.switches import SWITCHES

NOT_IMITATED = (
    "intelligence: every model is one assistant that repeats what it is told",
    "real token counts, prices, rate limits and latencies",
    "sound other than WAV and PCM, images other than PNG",
    "speech recognition: only the sandbox's own speech is transcribed word for word",
    "hosted tools (web search, file search, code interpreter, computer use, MCP) and reasoning items",
    "the deprecated `functions` of chat completions, its audio and its moderation",
    "voice activity detection and WebRTC in realtime",
    "assistants, threads, fine-tuning, evals, containers, videos, skills, ChatKit, administration",
    "projects, organisations and permissions of keys; every key that begins with sk-sandbox may do everything",
    "refusal of parameters that a newer or older version of the API would not know",
    "lasting storage: everything is forgotten when the sandbox ends, and the oldest things earlier",
)


async def welcome(request: Request) -> Response:
    """``GET /``: what this is, how to use it and what it does not imitate."""
    return JSON(
        {
            "name": "Tieline sandbox: a simulated OpenAI",
            "base_url": f"{request.url.scheme}://{request.url.netloc}/v1",
            "key": f"any key that begins with {PREFIX}, such as {PREFIX}-demo",
            "stats": "/sandbox/stats",
            "ledger": "/sandbox/ledger",
            "other_shapes": ["/anthropic/v1", "/gemini/v1beta", "/rerank/v1"],
            "switches": dict(SWITCHES),
            "not_imitated": list(NOT_IMITATED),
        }
    )


async def stats(request: Request) -> Response:
    """``GET /sandbox/stats``: what the sandbox counts about itself; needs no key."""
    return JSON(sandbox_of(request).stats.shown(), headers={"cache-control": "no-store"})


async def ledger(request: Request) -> Response:
    """``GET /sandbox/ledger``: what answers used, a page of lines after the number ``after``; needs no key."""
    query = read_query(request)
    lines = sandbox_of(request).ledger.shown(
        query.integer("after", 0, 2**53) or 0, query.integer("limit", 1, 10_000) or 1_000
    )
    return JSON(lines, headers={"cache-control": "no-store"})


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    yield
    app.state.sandbox.close()


def create_app() -> Starlette:
    """A sandbox of its own, with nothing in it."""
    sandbox = Sandbox()
    routes: list[BaseRoute] = [
        Route("/", welcome, methods=["GET"]),
        Route("/sandbox/stats", stats, methods=["GET"]),
        Route("/sandbox/ledger", ledger, methods=["GET"]),
    ]
    for endpoint in (models, chat, completions, responses, conversations, embeddings, moderations, images):
        routes.extend(endpoint.ROUTES)
    for endpoint in (
        speech,
        transcription,
        files,
        uploads,
        batches,
        vector_stores,
        realtime,
        anthropic,
        gemini,
        rerank,
    ):
        routes.extend(endpoint.ROUTES)
    app = Starlette(
        routes=routes,
        middleware=[Middleware(Gate, stats=sandbox.stats)],
        exception_handlers={Refusal: refuse, Answered: conclude, HTTPException: refuse_address},
        lifespan=_lifespan,
    )
    app.router.redirect_slashes = False
    app.state.sandbox = sandbox
    return app
