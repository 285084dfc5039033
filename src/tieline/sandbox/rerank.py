"""An API of no known shape, which says what it charges in a place of its own and in a header: it ranks texts.

Charged are searches, one for each hundred documents, and the characters of the query.
"""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tieline.sandbox.fields import read_json
from tieline.sandbox.refusal import JSON
from tieline.sandbox.state import new_id, sandbox_of
from tieline.sandbox.switches import begin

_PER_SEARCH = 100


async def create(request: Request) -> Response:
    """``POST /rerank/v1/rank``."""
    fields = await read_json(request)
    model, query, documents = fields.text("model"), fields.text("query"), fields.texts("documents")
    await begin(request, model)
    searches = -(-len(documents) // _PER_SEARCH)
    used = {"rerank_searches": searches, "characters": len(query)}
    sandbox_of(request).ledger.charge(request, "declared", model, used, told=True)
    words = set(query.lower().split())
    ranked = sorted(range(len(documents)), key=lambda at: -len(words & set(documents[at].lower().split())))
    answer = {"id": new_id("rank_"), "model": model, "results": ranked, "meta": {"billed": {"searches": searches}}}
    return JSON(answer, headers={"x-characters": str(len(query))})


ROUTES = [Route("/rerank/v1/rank", create, methods=["POST"])]
