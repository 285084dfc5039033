"""Gateways of others, measured where they are installed and left out where they are not: LiteLLM and Portkey.

They are started as their documentation says, with nothing tuned, and take part in the plain calls only.
"""

import json
import os
import shutil
import sys
from contextlib import ExitStack
from pathlib import Path

from bench.process import ROOT, free_ports, running
from bench.systems.nginx import PROVIDER_KEY
from bench.systems.system import Door, System, Upstreams, bearer

_PORTKEY = Path("node_modules/@portkey-ai/gateway/build/start-server.js")


def standing(stack: ExitStack, folder: Path, upstreams: Upstreams, key: str) -> list[System]:
    """Start those that are installed; ``stack`` ends them."""
    found = []
    litellm = shutil.which("litellm", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
    if litellm is not None:
        found.append(_litellm(stack, litellm, folder, upstreams, key))
    node, portkey = shutil.which("node"), ROOT / _PORTKEY
    if node is not None and portkey.is_file():
        found.append(_portkey(stack, [node, str(portkey)], folder, upstreams))
    return found


def _litellm(stack: ExitStack, program: str, folder: Path, upstreams: Upstreams, key: str) -> System:
    """LiteLLM's proxy with a master key and no database."""
    (port,) = free_ports(1)
    parameters = {
        "model": "openai/gpt-4.1",
        "api_base": f"http://127.0.0.1:{upstreams.calls}/v1",
        "api_key": PROVIDER_KEY,
    }
    config = {
        "model_list": [{"model_name": "gpt-4.1", "litellm_params": parameters}],
        "general_settings": {"master_key": key},
        "litellm_settings": {"telemetry": False},
    }
    path = folder / "litellm.yaml"
    path.write_text(json.dumps(config), encoding="utf-8")  # JSON is YAML
    words = [program, "--config", str(path), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    added = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}  # no download at start
    process = stack.enter_context(running("litellm", words, folder, ports=(port,), added=added))
    doors: dict[Door, str] = {"calls": f"http://127.0.0.1:{port}/v1/chat/completions"}
    return System("LiteLLM", doors, bearer(key), (process.pid,), rewrites=True)


def _portkey(stack: ExitStack, command: list[str], folder: Path, upstreams: Upstreams) -> System:
    """Portkey's gateway, which checks no key: the client's own goes to the provider named in a header."""
    (port,) = free_ports(1)
    process = stack.enter_context(running("portkey", [*command, f"--port={port}", "--headless"], folder, ports=(port,)))
    headers = {
        **bearer(PROVIDER_KEY),
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": f"http://127.0.0.1:{upstreams.calls}/v1",
    }
    doors: dict[Door, str] = {"calls": f"http://127.0.0.1:{port}/v1/chat/completions"}
    return System("Portkey", doors, headers, (process.pid,), checks_key=False)
