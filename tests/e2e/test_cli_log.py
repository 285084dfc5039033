"""``tieline log``: why did it fail? Asked of a server with two workers, as an operator asks it."""

import asyncio
import json
import os
from pathlib import Path

from tests.e2e.stage import COMMAND, Line, Shell, admin_of, serving, until
from tests.e2e.upstream import upstream


async def test_why_a_request_failed_is_told(tmp_path: Path) -> None:
    """Found by status and time, shown with its reason, and told in the server's log; followed as it comes."""
    async with (
        upstream() as provider,
        serving(tmp_path, "--workers", "2", "--allow-destination", "127.0.0.1") as node,
        admin_of(node) as admin,
    ):
        await admin.api("api", provider.url)
        await admin.credential("api")
        await admin.app("site", "api")
        key = (await admin.key("site"))["secret"]
        shell = Shell(node)
        follows = await asyncio.create_subprocess_exec(
            *COMMAND, "log", "follow", "--json", "--seconds", "6",
            stdout=asyncio.subprocess.PIPE, env={**os.environ, **node.environment},
        )  # fmt: skip
        await asyncio.sleep(3)
        line = Line(node.app)
        bearer = f"Authorization: Bearer {key}\r\n".encode()
        good = await line.ask(b"GET /relay/api/things HTTP/1.1\r\nHost: t\r\n" + bearer + b"\r\n")
        bad = await line.ask(b"GET /relay/api/a%00 HTTP/1.1\r\nHost: t\r\n" + bearer + b"\r\n")
        await line.close()
        request_id = bad.header("tieline-request-id")
        assert (good.status, bad.status) == (200, 400)
        await asyncio.sleep(0.6)  # four times a second records are saved
        code, said = await shell.run("log", "list", "--status", "4xx", "--since", "1d")
        assert code == 0
        assert request_id.encode() in said
        assert b"invalid_request" in said
        assert good.header("tieline-request-id").encode() not in said
        code, said = await shell.run("log", "show", request_id)
        assert code == 0
        assert json.loads(bad.body)["error"]["message"].encode() in said
        code, said = await shell.run("log", "list", "--json", "--not", "status=4xx", "--app", "site")
        assert [each["id"] for each in json.loads(said)["items"]] == [good.header("tieline-request-id")]
        for words in (("--not", "colour=red"), ("--since", "yesterday"), ("--status", "teapot")):
            code, said = await shell.run("log", "list", *words)
            assert code in {1, 2}
            assert words[0].strip("-").encode() in said
        said, _ = await follows.communicate()
        assert [json.loads(each)["id"] for each in said.splitlines()] == [
            reply.header("tieline-request-id") for reply in (good, bad)
        ]
        assert await until(lambda: f"request_id={request_id}" in node.said())
        await shell.close()
