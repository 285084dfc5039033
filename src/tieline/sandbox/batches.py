"""Batches: the lines of an uploaded file are answered by the sandbox's own endpoints.

The status moves on by one step with each retrieval, so that a test needs no clock: ``validating``, ``in_progress``,
``finalizing``, ``completed``.
"""

from collections.abc import Callable, Mapping
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tieline.sandbox import chat, completions, embeddings, moderations, responses
from tieline.sandbox.fields import Fields, read_json, read_query
from tieline.sandbox.files import store
from tieline.sandbox.refusal import JSON, Refusal
from tieline.sandbox.state import Sandbox, new_id, page, sandbox_of
from tieline.sandbox.switches import course, refusal

_LIFETIME = 86_400  # seconds
_STEPS = ("validating", "in_progress", "finalizing", "completed")
_ANSWERS: Mapping[str, Callable[[Sandbox, Fields], dict[str, Any]]] = {
    "/v1/chat/completions": lambda sandbox, fields: chat.complete(sandbox, fields, course(fields.text("model")))[0],
    "/v1/completions": lambda sandbox, fields: completions.complete(sandbox, fields, course(fields.text("model")))[0],
    "/v1/responses": lambda sandbox, fields: responses.complete(sandbox, fields, course(fields.text("model")))[0],
    "/v1/embeddings": lambda _sandbox, fields: embeddings.complete(fields),
    "/v1/moderations": lambda _sandbox, fields: moderations.complete(fields),
}


async def create(request: Request) -> Response:
    """``POST /v1/batches``."""
    fields = await read_json(request)
    fields.text("endpoint")
    fields.text("completion_window")
    sandbox = sandbox_of(request)
    now = sandbox.now()
    shown = {
        "id": new_id("batch_"),
        "object": "batch",
        "endpoint": fields.choice("endpoint", tuple(_ANSWERS), ""),
        "input_file_id": _input(sandbox, fields.text("input_file_id")),
        "completion_window": fields.choice("completion_window", ("24h",), ""),
        "status": "validating",
        "created_at": now,
        "expires_at": now + _LIFETIME,
        "request_counts": {"total": 0, "completed": 0, "failed": 0},
        "metadata": fields.metadata(),
    }
    sandbox.batches.put(str(shown["id"]), shown)
    return JSON(shown)


def _input(sandbox: Sandbox, identity: str) -> str:
    file = sandbox.files.get(identity)
    if file.shown["purpose"] != "batch":
        raise Refusal(400, f"File {identity} has not the purpose 'batch'.", param="input_file_id")
    return identity


def _advance(sandbox: Sandbox, batch: dict[str, Any]) -> None:
    if batch["status"] == "cancelling":
        batch.update(status="cancelled", cancelled_at=sandbox.now())
        return
    if batch["status"] not in _STEPS[:-1]:
        return
    step = _STEPS[_STEPS.index(batch["status"]) + 1]
    if step == "in_progress":
        requests, errors = _read(sandbox, batch)
        if errors:
            batch.update(status="failed", failed_at=sandbox.now(), errors={"object": "list", "data": errors})
            return
        batch["request_counts"]["total"] = len(requests)
    if step == "finalizing":
        _run(sandbox, batch)
    batch.update({"status": step, f"{step}_at": sandbox.now()})


def _read(sandbox: Sandbox, batch: dict[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The requests of the input file, and what is wrong with its lines."""
    file = sandbox.files.find(batch["input_file_id"])
    if file is None:
        return [], [{"code": "invalid_file", "message": "The input file was deleted.", "param": None, "line": None}]
    requests, errors = [], []
    for number, line in enumerate(file.path.read_bytes().splitlines(), 1):
        if not line.strip():
            continue
        try:
            wanted = orjson.loads(line)
            problem = _problem(wanted, batch["endpoint"])
        except orjson.JSONDecodeError:
            wanted, problem = {}, "This line is not parseable as valid JSON."
        if problem:
            errors.append({"code": "invalid_request", "message": problem, "param": None, "line": number})
        else:
            requests.append(wanted)
    if not requests and not errors:
        errors.append({"code": "empty_file", "message": "The input file has no requests.", "param": None, "line": None})
    return requests, errors


def _problem(wanted: Any, endpoint: str) -> str | None:
    if not isinstance(wanted, dict) or not isinstance(wanted.get("custom_id"), str):
        return "Missing required parameter: 'custom_id'."
    if wanted.get("method") != "POST" or wanted.get("url") != endpoint:
        return f"Every request of this batch is a POST to {endpoint}."
    return None if isinstance(wanted.get("body"), dict) else "Missing required parameter: 'body'."


def _run(sandbox: Sandbox, batch: dict[str, Any]) -> None:
    good: list[bytes] = []
    bad: list[bytes] = []
    for wanted in _read(sandbox, batch)[0]:
        status, body = _answer(sandbox, batch["endpoint"], Fields(wanted["body"]))
        reply = {"status_code": status, "request_id": new_id("req_"), "body": body}
        line = {"id": new_id("batch_req_"), "custom_id": wanted["custom_id"], "response": reply, "error": None}
        (good if status == 200 else bad).append(orjson.dumps(line))
    batch["request_counts"].update(completed=len(good), failed=len(bad))
    for name, lines in (("output_file_id", good), ("error_file_id", bad)):
        if lines:
            batch[name] = store(sandbox, f"{batch['id']}_{name[:-8]}.jsonl", b"\n".join(lines) + b"\n", "batch_output")


def _answer(sandbox: Sandbox, endpoint: str, fields: Fields) -> tuple[int, dict[str, Any]]:
    try:
        refused = refusal(fields.maybe("model") or "", sandbox.attempts)
        if refused:
            raise refused
        return 200, _ANSWERS[endpoint](sandbox, fields)
    except Refusal as refused:
        return refused.status, refused.body()


async def retrieve(request: Request) -> Response:
    """``GET /v1/batches/{batch_id}``: moves the batch on by one step, then shows it."""
    sandbox = sandbox_of(request)
    batch = sandbox.batches.get(request.path_params["batch_id"])
    _advance(sandbox, batch)
    return JSON(batch)


async def list_batches(request: Request) -> Response:
    """``GET /v1/batches``."""
    return JSON(page(read_query(request), list(sandbox_of(request).batches)))


async def cancel(request: Request) -> Response:
    """``POST /v1/batches/{batch_id}/cancel``."""
    sandbox = sandbox_of(request)
    batch = sandbox.batches.get(request.path_params["batch_id"])
    if batch["status"] not in _STEPS[:-1]:
        raise Refusal(409, f"Cannot cancel a batch with status '{batch['status']}'.", param="batch_id")
    batch.update(status="cancelling", cancelling_at=sandbox.now())
    return JSON(batch)


ROUTES = [
    Route("/v1/batches", create, methods=["POST"]),
    Route("/v1/batches", list_batches, methods=["GET"]),
    Route("/v1/batches/{batch_id}", retrieve, methods=["GET"]),
    Route("/v1/batches/{batch_id}/cancel", cancel, methods=["POST"]),
]
