"""A second opinion on permissions, written apart from the product: what a key may do on OpenAI, worked out naively.

The areas are transcribed from design/permissions.md, section 3, as one list of regular expressions of which the first
that fits wins. Where that page leaves a choice open, the choice is stated beside its line. Nothing here imports
``tieline``, nothing is fast, and nothing is shared with what is tested.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import product
from urllib.parse import unquote

LEVELS: dict[str, tuple[str, ...]] = {
    "models": ("read",),
    "chat_completions": ("request",),
    "responses": ("read", "write"),
    "embeddings": ("request",),
    "images": ("request",),
    "audio": ("request",),
    "moderations": ("request",),
    "realtime": ("request",),
    "assistants": ("read", "write"),
    "threads": ("read", "write"),
    "fine_tuning": ("read", "write"),
    "evals": ("read", "write"),
    "vector_stores": ("read", "write"),
    "batch": ("read", "write"),
    "videos": ("read", "write"),
    "files": ("read", "write"),
    "voices": ("read", "write"),
    "containers": ("read", "write"),
    "skills": ("read", "write"),
    "chatkit": ("read", "write"),
    "projects": ("read", "write"),
    "admin_keys": ("read", "write"),
    "users": ("read", "write"),
    "roles": ("read", "write"),
    "usage": ("read",),
    "audit_logs": ("read",),
    "certificates": ("read", "write"),
}

PARENTS: dict[str, tuple[str, ...]] = {
    "model_capabilities": (
        "chat_completions",
        "responses",
        "embeddings",
        "images",
        "audio",
        "moderations",
        "realtime",
    ),
    "organization": ("projects", "admin_keys", "users", "roles", "usage", "audit_logs", "certificates"),
}

ANY = ""
READS = "GET HEAD OPTIONS"

# Area, methods, path. "…" is the thing itself and all below it, "*" one segment, "+" one or more.
OPERATIONS: list[tuple[str, str, str]] = [
    ("models", READS, "/models…"),
    ("fine_tuning", "DELETE", "/models/+"),
    ("chat_completions", ANY, "/chat/completions…"),
    ("chat_completions", ANY, "/completions"),
    ("responses", ANY, "/responses…"),
    ("responses", ANY, "/conversations…"),
    ("embeddings", ANY, "/embeddings"),
    ("images", ANY, "/images/+"),
    ("voices", ANY, "/audio/voices…"),
    ("voices", ANY, "/audio/voice_consents…"),
    ("audio", ANY, "/audio/+"),
    ("moderations", ANY, "/moderations"),
    ("moderations", ANY, "/content_provenance_checks"),  # not in the page's table: like a moderation, it judges content
    ("realtime", ANY, "/realtime…"),
    ("assistants", ANY, "/assistants…"),
    ("threads", ANY, "/threads…"),
    ("fine_tuning", ANY, "/fine_tuning/+"),
    ("evals", ANY, "/evals…"),
    ("vector_stores", ANY, "/vector_stores…"),
    ("batch", ANY, "/batches…"),
    ("videos", ANY, "/videos…"),
    ("files", ANY, "/files…"),
    ("files", ANY, "/uploads…"),
    ("containers", ANY, "/containers…"),
    ("skills", ANY, "/skills…"),
    ("chatkit", ANY, "/chatkit/+"),
    # The page gives /organization/* and /projects/* to seven areas by their names alone; which is whose is chosen here.
    ("certificates", ANY, "/organization/certificates…"),
    ("certificates", ANY, "/organization/projects/*/certificates…"),
    ("roles", ANY, "/organization/roles…"),
    ("roles", ANY, "/organization/users/*/roles…"),
    ("roles", ANY, "/organization/groups/*/roles…"),
    ("roles", ANY, "/projects/*/roles…"),
    ("roles", ANY, "/projects/*/users/*/roles…"),
    ("roles", ANY, "/projects/*/groups/*/roles…"),
    ("usage", READS, "/organization/usage/+"),
    ("usage", READS, "/organization/costs"),
    ("audit_logs", READS, "/organization/audit_logs"),
    ("admin_keys", ANY, "/organization/admin_api_keys…"),
    ("users", ANY, "/organization/users…"),
    ("users", ANY, "/organization/invites…"),
    ("users", ANY, "/organization/groups…"),
    ("projects", ANY, "/organization/projects…"),
    ("projects", ANY, "/organization/data_retention"),
    ("projects", ANY, "/organization/spend_limit"),
    ("projects", ANY, "/organization/spend_alerts…"),
]

READS_BY_POST = ("/vector_stores/*/search", "/responses/input_tokens")
OVERRIDES = ("x-http-method-override", "x-http-method", "x-method-override")

Need = tuple[str, str] | None
"""An area and a level, or None for what no area covers."""


@dataclass(frozen=True)
class Ask:
    """A request as a client sends it: the target is path and query."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    upgrade: bool = False


@dataclass(frozen=True)
class Needs:
    """What a request needs: refused outright, never allowed, or every one of ``every``."""

    refused: bool = False
    never: bool = False
    every: tuple[Need, ...] = ()


@cache
def pattern(text: str, *, any_case: bool) -> re.Pattern[str]:
    """The regular expression of a path in the notation above; a slash may follow."""
    expression = text.replace("…", "(/.+)?").replace("/+", "/.+").replace("/*", "/[^/]+")
    return re.compile(expression + "/?", re.IGNORECASE if any_case else re.NOFLAG)


def need(method: str, path: str, *, any_case: bool, upgrade: bool) -> Need:
    """What ``method`` on ``path``, taken as it stands, needs."""

    def fits(text: str) -> bool:
        return pattern(text, any_case=any_case).fullmatch(path) is not None

    areas = [area for area, methods, text in OPERATIONS if method in (methods.split() or [method]) and fits(text)]
    if not areas:
        return None
    if "request" in LEVELS[areas[0]]:
        return areas[0], "request"
    reads = method in READS.split() or (method == "POST" and any(fits(text) for text in READS_BY_POST))
    return areas[0], "read" if reads and not upgrade else "write"


def is_refused(path: str) -> bool:
    """Whether a path must not be sent at all."""
    if not path.startswith("/") or any(not "!" <= letter <= "~" or letter in "\\?#" for letter in path):
        return True
    if re.search("%(?![0-9a-fA-F]{2})", path):
        return True
    if any(unquote(escape) < " " or unquote(escape) in "\x7f\\" for escape in re.findall("%[0-7].", path)):
        return True
    return any(hides_dots(segment) for segment in path.split("/"))


def hides_dots(segment: str) -> bool:
    """Whether some server might see a dot segment in it."""
    while unquote(segment) != segment:
        segment = unquote(segment)
    return any(piece.split(";")[0] in (".", "..") for piece in re.split(r"[/\\]", segment))


def views(path: str) -> Iterable[str]:
    """The ways in which servers read a path: each of them decodes or not, drops parameters or not, and so on."""
    for decodes, drops, names_a_host, merges in product((False, True), repeat=4):
        text = unquote(path) if decodes else path
        text = re.sub(";[^/]*", "", text) if drops else text
        text = re.sub("^//[^/]*", "", text) or "/" if names_a_host else text
        yield re.sub("//+", "/", text) if merges else text


def needs(ask: Ask) -> Needs:
    """What a request needs of a key."""
    path, _, query = ask.target.partition("?")
    if any(name.lower().replace("_", "-") in OVERRIDES for name, _ in ask.headers):
        return Needs(refused=True)
    if any(unquote(pair.split("=")[0]).lower() == "_method" for pair in query.split("&")):
        return Needs(refused=True)
    if is_refused(path):
        return Needs(refused=True)
    if ask.method in ("TRACE", "CONNECT") or ask.method != ask.method.upper():
        return Needs(never=True)
    every = [
        need(ask.method, view, any_case=any_case, upgrade=ask.upgrade)
        for view in views(path)
        for any_case in (False, True)
    ]
    return Needs(every=tuple(dict.fromkeys(every)))


def spread(area: str, level: str) -> dict[str, str]:
    """What ticking ``level`` on ``area`` sets: itself, or for a parent the most that each child has up to it."""
    order = {"read": 1, "write": 2, "request": 2}
    chosen = {}
    for child in PARENTS.get(area, (area,)):
        below = [offered for offered in LEVELS[child] if order[offered] <= order[level]]
        if below:
            chosen[child] = below[-1]
    return chosen


def allows(mode: str, held: dict[str, str], method: str, upgrade: bool, wanted: Need) -> bool:
    """Whether a key of ``mode`` with the levels ``held`` may do what one reading of a request needs."""
    if mode == "all":
        return True
    if mode == "read_only":
        return wanted[1] == "read" if wanted else method in ("GET", "HEAD") and not upgrade
    if wanted is None:
        return False
    has = held.get(wanted[0])
    return has == wanted[1] or (has, wanted[1]) == ("write", "read")
