"""Pages from end to end: how an API pages is found from its first real answer, confirmed, and walked by an app."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

Cli = Callable[..., Any]
ITEMS = [{"id": number, "name": f"thing {number}"} for number in range(1, 24)]
SIZE = 5

# How a call is written before anything is known of its pages, and the kind that is to be found.
KINDS: dict[str, tuple[dict[str, Any], str]] = {
    "page": ({"page": {"type": "integer", "optional": True}}, "page"),
    "offset": ({"offset": {"type": "integer", "optional": True}}, "offset"),
    "cursor": ({"cursor": {"optional": True}}, "cursor"),
    "token": ({}, "cursor"),
    "header": ({"cursor": {"optional": True}}, "cursor"),
    "link": ({}, "link"),
    "next": ({}, "next_url"),
}


def paged(path: str, query: dict[str, str], base: str) -> tuple[dict[str, str], Any]:
    """The headers and the document of one page of an API that pages as its path names."""
    kind = path.strip("/")
    asked = query.get("pageToken" if kind == "token" else "cursor", "")
    number = int(query.get("page", "1")) - 1
    start = int(query.get("offset") or 0) if kind == "offset" else int(asked.removeprefix("c") or number * SIZE)
    items, end = ITEMS[start : start + SIZE], start + SIZE
    more = end < len(ITEMS)
    url = f"{base}/{kind}?page={end // SIZE + 1}"
    if kind == "link":
        return ({"Link": f'<{url}>; rel="next", <{base}>; rel="first"'} if more else {}), items
    if kind == "header":
        return ({"X-Next-Cursor": f"c{end}"} if more else {}), items
    told: dict[str, dict[str, Any]] = {
        "page": {"page": number + 1, "total": len(ITEMS)},
        "offset": {"total": len(ITEMS)},
        "cursor": {"next_cursor": f"c{end}" if more else None, "has_more": more},
        "token": {"nextPageToken": f"c{end}"} if more else {},
        "next": {"links": {"next": url if more else None, "prev": None}},
    }
    return {}, {"data": items, **told[kind]}


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    """The base URL of an API with a path for each kind of pages, which is busy now and then."""
    asked: dict[str, int] = {}

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            asked[parts.path] = asked.get(parts.path, 0) + 1
            headers, document = paged(parts.path, query, f"http://127.0.0.1:{self.server.server_port}")  # type: ignore[attr-defined]
            body = json.dumps(document).encode()
            busy = asked[parts.path] % 4 == 0
            self.send_response(503 if busy else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            for name, value in {"Retry-After": "0"}.items() if busy else headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def shop(server: Any, upstream: str) -> dict[str, str]:
    """The API ``shop`` with a call for each kind of pages; what a command needs to run them."""
    calls = {
        kind: {"path": f"/{kind}", "parameters": {name: {"in": "query", **one} for name, one in parameters.items()}}
        for kind, (parameters, _) in KINDS.items()
    }
    definition = {"tieline": "v1", "api": "shop", "base_url": upstream, "auth": {"scheme": "none"}, "calls": calls}
    server.admin("POST", "/apis", {"name": "shop", "definition": definition})
    server.admin("POST", "/apps", {"name": "walker", "apis": ["shop"]})
    secret = server.admin("POST", "/apps/walker/keys", {"permissions": {"mode": "all"}})["secret"]
    return {"TIELINE_APP_URL": server.app, "TIELINE_APP_KEY": secret}


@pytest.mark.parametrize("kind", KINDS)
def test_pages_are_found_confirmed_and_walked(cli: Cli, server: Any, shop: dict[str, str], kind: str) -> None:
    """From the first answer to the last item, in order and each once; the upstream is busy in between."""
    learned = cli("call", "initialize", f"shop.{kind}", "--save", "--pagination", "--json").json
    assert learned["pagination"]["pagination"]["kind"] == KINDS[kind][1]
    saved = server.admin("GET", f"/apis/shop/calls/{kind}")["definition"]
    assert saved["pagination"] == learned["pagination"]["pagination"]
    end = time.monotonic() + 20
    while (walked := cli("call", "run", f"shop.{kind}", "--all", env=shop)).code and time.monotonic() < end:
        assert "pagination" in walked.err or "shop" in walked.err  # not known to the data plane yet
    assert [json.loads(line) for line in walked.out.splitlines()] == ITEMS
    assert walked.err.startswith(f"{len(ITEMS)} items from ")


def test_a_walk_ends_at_the_bound_that_the_definition_sets(cli: Cli, server: Any, shop: dict[str, str]) -> None:
    """In the middle of a page, and it says that there is more."""
    pagination = {"kind": "next_url", "next": "links.next", "items": "data", "most": {"items": 7}}
    server.admin("POST", "/apis/shop/calls", {"name": "few", "definition": {"path": "/next", "pagination": pagination}})
    end = time.monotonic() + 20
    while (walked := cli("call", "run", "shop.few", "--all", env=shop)).code and time.monotonic() < end:
        assert "few" in walked.err
    assert [json.loads(line)["id"] for line in walked.out.splitlines()] == list(range(1, 8))
    assert "there are more" in walked.err
