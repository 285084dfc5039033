"""Canary secrets and the hunt for them: in which disguises a secret may turn up, and where one did.

A canary is a secret whose random body stands nowhere else. The hunt looks for any sixteen bytes in a row of any
disguise of any body, so that a part of a secret counts as well as the whole. Knows nothing of what is searched.
"""

import base64
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from urllib.parse import quote, quote_plus

WINDOW = 16
LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ODD = LETTERS + "\"\\/+%=&<>~'"
CONTEXT = 60


@dataclass(frozen=True)
class Canary:
    """A secret: ``text`` is ``prefix`` and ``body``; ``what`` says what it is a secret of."""

    what: str
    prefix: str
    body: str

    @property
    def text(self) -> str:
        """The whole secret."""
        return self.prefix + self.body


def mint(what: str, randomness: random.Random, *, odd: bool = False) -> Canary:
    """A new provider secret; an ``odd`` one holds characters that JSON, URLs and HTML must escape."""
    body = "".join(randomness.choice(ODD if odd else LETTERS) for _ in range(40))
    return Canary(what, "sk-sandbox-", body)


def given(what: str, text: str) -> Canary:
    """A secret that somebody else made, such as an app key: the body is what follows its prefix."""
    body = text.rpartition("_")[2]
    return Canary(what, text.removesuffix(body), body)


def disguises(canary: Canary) -> Iterator[tuple[str, bytes]]:
    """The forms in which the body may turn up, by name."""
    body, text = canary.body, canary.text
    yield "raw", body.encode()
    for name, encode in (("base64", base64.b64encode), ("base64url", base64.urlsafe_b64encode)):
        for shift in range(3):
            encoded = encode(b"\0" * shift + body.encode())
            yield f"{name} at {shift}", encoded[(shift * 8 + 5) // 6 :].rstrip(b"=")[:-1]
    yield "hex", body.encode().hex().encode()
    yield "hex in capitals", body.encode().hex().upper().encode()
    yield "every byte percent-encoded", "".join(f"%{byte:02x}" for byte in body.encode()).encode()
    for name, form in (
        ("percent-encoded", quote(body, safe="")),
        ("percent-encoded with slashes", quote(body)),
        ("form-encoded", quote_plus(body)),
        ("JSON", json.dumps(body)[1:-1]),
        ("JSON with slashes escaped", json.dumps(body)[1:-1].replace("/", "\\/")),
        ("JSON twice", json.dumps(json.dumps(body)[1:-1])[1:-1]),
        ("repr", repr(text)[1:-1][len(canary.prefix) :]),
        ("HTML", escape(body)),
        ("SQL", body.replace("'", "''")),
    ):
        yield name, form.encode()


@dataclass
class Hunt:
    """A search for canaries through everything that was left behind."""

    windows: dict[bytes, tuple[Canary, str]] = field(default_factory=dict)
    bytes_searched: int = 0
    places: int = 0

    def add(self, canary: Canary) -> None:
        """Look for this one, too."""
        for name, form in disguises(canary):
            for start in range(len(form) - WINDOW + 1):
                self.windows.setdefault(form[start : start + WINDOW], (canary, name))

    def search(self, where: str, data: bytes) -> list[str]:
        """A sentence for each canary found in ``data``, which is called ``where``."""
        self.bytes_searched += len(data)
        self.places += 1
        windows = self.windows
        found: dict[tuple[Canary, str], int] = {}
        for start in range(len(data) - WINDOW + 1):
            hit = windows.get(data[start : start + WINDOW])
            if hit is not None:
                found.setdefault(hit, start)
        return [
            f"{canary.what} as {form} in {where}: …{data[max(0, start - CONTEXT) : start + CONTEXT]!r}…"
            for (canary, form), start in found.items()
        ]

    def search_files(self, folder: Path) -> list[str]:
        """The same for the content and the name of every file below ``folder``."""
        found = []
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                found += self.search(str(path.relative_to(folder)), path.read_bytes())
                found += self.search(f"the name of {path.name[:8]}…", str(path).encode())
        return found
