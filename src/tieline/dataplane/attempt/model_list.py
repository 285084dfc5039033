"""Whether a request keeps to its key's list of models, and what such a key sees of an API's list of models.

Holds for APIs that tell usage by their definition: those are the ones that have models. Owns the words of refusals.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

from tieline.access.limits import allows_model
from tieline.core.errors import ModelNotAllowed, UpstreamProtocolError
from tieline.dataplane.answers.content_coding import coding, codings
from tieline.dataplane.answers.exact_json import read_json, write_json
from tieline.metering import named_models
from tieline.wire.framing import Headers

LIST_MOST: Final = 4 * 1024 * 1024
"""Bytes of an API's list of models."""
_SHOWN: Final = 100
_PREFIX: Final = "models/"
_ASKS_A_MODEL: Final = re.compile(
    rb"/(?:completions|responses|embeddings|images/[a-z]+|audio/(?:speech|transcriptions|translations)|moderations"
    rb"|v1/messages|videos|rerank)/?\Z",
    re.IGNORECASE,
)
_LISTS: Final = ("data", "models")
_NAMES: Final = ("id", "name", "model")


def check_target(models: Sequence[str], path: bytes, query: bytes) -> None:
    """Raise ModelNotAllowed where the path or query names a model that a key with this list may not use."""
    try:
        _check(models, named_models.in_target(path, query))
    except named_models.UnreadableError as error:
        raise _unreadable(models, f"the query of this request cannot be read: {error}") from None


class MessageCheck:
    """What messages a client may send over a WebSocket that was asked for with this path and query.

    Where these name no model, the first message has to; where each message asks a model, as for responses, each has to.
    """

    __slots__ = ("_each", "_first", "_models")

    def __init__(self, models: Sequence[str], path: bytes, query: bytes) -> None:
        self._models = models
        self._each = _ASKS_A_MODEL.search(path) is not None
        self._first = not any(named_models.in_target(path, query))

    def check(self, data: bytes, *, is_text: bool) -> None:
        """Raise ModelNotAllowed where the next message names a model that is not listed, or none where it has to."""
        try:
            named = named_models.in_message(data, is_text=is_text)
        except named_models.UnreadableError as error:
            raise _unreadable(self._models, f"a message cannot be read: {error}") from None
        _check(self._models, named)
        if not named and (self._each or self._first):
            raise _unreadable(self._models, "this message names none, and the API would choose. Name one")
        self._first = False

    def too_large(self) -> ModelNotAllowed:
        """What refuses a message of more bytes than are read."""
        most = named_models.MESSAGE_MOST // 1024
        return _unreadable(self._models, f"a message is larger than the {most} KiB that are read. Send less at once")

    def unreadable(self, why: str) -> ModelNotAllowed:
        """What refuses frames that cannot be read."""
        return _unreadable(self._models, why)


def check_body(models: Sequence[str], message: tuple[bytes, bytes, bytes, Headers], body: bytes) -> None:
    """The same of a whole body. ``message`` is the method, path, query and header fields. Raises ModelNotAllowed."""
    method, path, query, headers = message
    if codings(headers):
        raise _unreadable(models, "a body with a Content-Encoding is not read. Send it without")
    kinds = [value for name, value in headers if name.lower() == b"content-type"]
    if len(kinds) > 1:
        raise _unreadable(models, "the request has two Content-Types. Send one")
    try:
        named = named_models.in_body(kinds[0] if kinds else b"", body)
    except named_models.UnreadableError as error:
        raise _unreadable(models, f"the body of this request cannot be read: {error}") from None
    _check(models, named)
    if not named and method == b"POST" and _ASKS_A_MODEL.search(path) and not any(named_models.in_target(path, query)):
        raise _unreadable(models, "this request names none, and the API would choose. Name one")


def too_large(models: Sequence[str]) -> ModelNotAllowed:
    """What refuses a body of more bytes than are read."""
    most = named_models.BODY_MOST // 1024**2
    return _unreadable(models, f"the body is larger than the {most} MiB that are read for it. Send less")


def lists_models(method: bytes, path: bytes) -> bool:
    """Whether a request is answered by the list of an API's models."""
    return method == b"GET" and path.rstrip(b"/").lower().endswith(b"/models")


def only_allowed(models: Sequence[str], headers: Headers, body: bytes) -> bytes:
    """An API's list of models without those that a key with this list may not use.

    Raises UpstreamProtocolError where it cannot be read.
    """
    undo = coding(headers, LIST_MOST)
    try:
        document = read_json(body if undo is None else undo.feed(body))
    except ValueError:
        raise _no_list() from None
    if isinstance(document, list):
        return write_json(_kept(models, document))
    name = next((each for each in _LISTS if isinstance(document, dict) and isinstance(document.get(each), list)), None)
    if name is None:
        raise _no_list()
    return write_json({**document, name: _kept(models, document[name])})


def _kept(models: Sequence[str], items: list[Any]) -> list[Any]:
    return [item for item in items if (name := _name(item)) is not None and _allows(models, name)]


def _name(item: Any) -> str | None:
    if isinstance(item, str):
        return item
    found = next((item[each] for each in _NAMES if each in item), None) if isinstance(item, dict) else None
    return found if isinstance(found, str) else None


def _allows(models: Sequence[str], name: str) -> bool:
    return allows_model(models, name) or allows_model(models, name.removeprefix(_PREFIX))


def _check(models: Sequence[str], named: Any) -> None:
    for name in named:
        if not _allows(models, name):
            shown = name if len(name) <= _SHOWN and name.isprintable() else "that it names"
            raise ModelNotAllowed(
                f"This app key may not use the model {shown}. It may use {', '.join(models)}. Ask for one of these, or "
                "an operator to add it to the key's models.",
                param="model",
            )


def _unreadable(models: Sequence[str], why: str) -> ModelNotAllowed:
    return ModelNotAllowed(
        f"This app key may only use the models {', '.join(models)}, and {why}.",
        param="model",
    )


def _no_list() -> UpstreamProtocolError:
    return UpstreamProtocolError(
        "The upstream's list of models cannot be read, so it cannot be cut down to those that this app key may use."
    )
