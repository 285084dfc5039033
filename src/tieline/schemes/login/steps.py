"""A login as a flow: each step filled and asked, and what the answers give. Knows nothing of where the token goes."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from tieline.core.errors import TielineError
from tieline.core.secret import Secret
from tieline.definitions.infer.answers import read_answer
from tieline.definitions.infer.unreadable import UnreadableAnswer
from tieline.schemes import expiry
from tieline.schemes.declared import at_path
from tieline.schemes.flow import Flow, IssuerAnswer, IssuerRefused, IssuerRequest, Token
from tieline.schemes.login.jar import Jar, cookie_of
from tieline.schemes.login.options import COOKIES, LoginSetup, Step, Taken

_BODY_MOST = 1024 * 1024
_VALUE_MOST = 16 * 1024
_WRONG = frozenset({400, 401, 403, 422})


def log_in(login: LoginSetup, secrets: Mapping[str, Secret], now: float) -> Flow[Token]:
    """Every step in order; raises IssuerRefused where one does not give what it should."""
    texts = {name: secret.reveal_bytes().decode() for name, secret in secrets.items()}
    jar = Jar()
    end = now + login.lifetime if login.lifetime is not None else None
    for number, step in enumerate(login.steps, 1):
        answer = yield _request(number, step, texts, jar)
        _check_status(number, step, answer)
        jar.learn(answer, step.host, now)
        document = _document(answer) if _reads_body(step) else None
        for name, taken in step.take.items():
            texts[name] = _text(number, step, name, _value(taken, answer, document))
        if step.expires is not None:
            end = expiry.moment(_value(step.expires.taken, answer, document), step.expires.unit, now) or end
    kept = {name: Secret.from_text(texts[name]) for name in login.placed_names() if name not in secrets}
    if login.cookies:
        kept[COOKIES] = jar.sealed()
    return Token(kept, end)


def _request(number: int, step: Step, texts: Mapping[str, str], jar: Jar) -> IssuerRequest:
    names = step.names()
    for name in names:
        if name not in texts:
            raise IssuerRefused(
                f"Step {number} of the login holds <{name}>, which is no variable. Add it to variables, or write \\< "
                "for a literal <.",
                final=True,
            )
    try:
        filled = step.compiled().fill({name: texts[name] for name in names})
    except (TielineError, ValueError) as error:
        what = error.public if isinstance(error, TielineError) else f"{error}."
        raise IssuerRefused(f"Step {number} of the login cannot be made: {what}", final=True) from None
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in filled.headers]
    if filled.body is not None:
        headers.append(("Content-Type", filled.body.content_type.decode()))
    cookies = "; ".join(f"{each.name}={each.value}" for each in jar.held_for(step.host))
    if cookies:
        headers.append(("Cookie", cookies))
    query = f"?{filled.query.decode()}" if filled.query else ""
    content = filled.body.content if filled.body is not None else b""
    return IssuerRequest(step.method, f"{filled.url}{query}", tuple(headers), content or b"")


def _check_status(number: int, step: Step, answer: IssuerAnswer) -> None:
    """Anything below 400 will do: a page of a browser's login often answers with a redirect."""
    if answer.status < 400:
        return
    what = f"{step.host} answered {answer.status} to step {number} of the login"
    if answer.status in _WRONG:
        raise IssuerRefused(f"{what}. Check the credential's values and set them again.", detail=what, final=True)
    raise IssuerRefused(f"{what}. Try again.", detail=what)


def _reads_body(step: Step) -> bool:
    taken: Sequence[Taken] = [*step.take.values(), *([step.expires.taken] if step.expires is not None else [])]
    return any(each.source == "body" for each in taken)


def _document(answer: IssuerAnswer) -> Any:
    """The body as JSON, as XML where it says so, else as text."""
    if len(answer.body) > _BODY_MOST:
        return None
    try:
        return orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        text = answer.body.decode("utf-8", "replace").strip()
    if "xml" not in (answer.header("content-type") or ""):
        return text
    try:
        return read_answer("xml", text)
    except UnreadableAnswer:
        return text


def _value(taken: Taken, answer: IssuerAnswer, document: Any) -> Any:
    if taken.source == "body":
        return at_path(document, taken.path or "$")
    name = taken.name or ""
    return answer.header(name.lower()) if taken.source == "header" else cookie_of(answer, name)


def _text(number: int, step: Step, name: str, value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str) and 0 < len(value) <= _VALUE_MOST and value.isprintable():
        return value
    raise IssuerRefused(
        f"The answer of {step.host} to step {number} of the login has no {name} where the definition looks for it. "
        "Check the credential's values, then take in the definition.",
        detail=f"step {number} gave no {name}",
        final=True,
    )
