"""Initialize: what a call answers, learned from answers, shown, and saved where an operator wants it.

Owns the order: get answers, learn, show, save into the call as it is by then. How types are found is known to
``definitions.infer``, how a request is sent to the data plane behind ``ports.Trier``.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast

from tieline.access.caller import Caller, Role, require
from tieline.audit.events import CallInitialized
from tieline.controlplane.apis import find_api
from tieline.controlplane.calls import as_json, find_call, store_call
from tieline.controlplane.compiled import definition_of
from tieline.controlplane.connections import end_user_of
from tieline.controlplane.services import Services
from tieline.core.errors import AdminError, InvalidInput, LostUpdate, UpstreamError
from tieline.core.names import Environment
from tieline.definitions.infer.detect import Source, detect
from tieline.definitions.infer.learning import (
    AnswerSample,
    ReadAnswer,
    ResponseChange,
    changes,
    learn,
    read_samples,
    typed_events,
)
from tieline.definitions.infer.media import kind_of_bytes
from tieline.definitions.infer.page_samples import PageSample
from tieline.definitions.infer.pagination import Proposal, propose
from tieline.definitions.infer.samples import hide_secrets, keep_in
from tieline.definitions.infer.unreadable import UnreadableAnswer
from tieline.definitions.model import Call, Field, Response, StreamEvent
from tieline.ports.operator import TrialAnswer, TrialFile, TrialRun

SAMPLES_MOST = 20
SAMPLE_MOST = 4 * 1024 * 1024

_COOKIE = re.compile(r"((?:^|, )[^=;,]+=)[^;,]*")

Kept = Literal["none", "masked", "whole"]
CallRef = tuple[str, str]
"""The names of an API and of one of its calls."""


@dataclass(frozen=True, slots=True)
class Samples:
    """Answers that somebody pasted, all of one ``content_type`` (empty: whatever they look like)."""

    texts: Sequence[str]
    content_type: str = ""


@dataclass(frozen=True, slots=True)
class Sending:
    """What one real request is sent with.

    ``whose`` is the end user whose tokens are used and the app that knows them, as ``end_user_of`` takes them.
    """

    environment: Environment
    values: Mapping[str, Any] = field(repr=False)
    files: Mapping[str, TrialFile] = field(repr=False, default_factory=dict)
    whose: tuple[str | None, str | None] = (None, None)


@dataclass(frozen=True, slots=True)
class Purpose:
    """What learning is for: to look only, or to ``save``.

    ``anew`` forgets what earlier answers showed, ``keep`` says how samples go into the definition, ``paged`` that the
    proposed pagination is saved too.
    """

    save: bool = False
    anew: bool = False
    keep: Kept = "none"
    paged: bool = False


@dataclass(frozen=True, slots=True)
class Learned:
    """What answers taught. ``response`` is what is, or would be, saved; ``fields`` and ``events`` have fresh samples.

    ``problem`` is why nothing could be learned; then ``response`` is the call's own. ``revision`` is the API's where
    something was saved. ``tried`` is what the upstream answered, None for samples.
    """

    response: Response
    fields: Sequence[Field] = ()
    events: Sequence[StreamEvent] | None = None
    text: str | None = None
    changes: Sequence[ResponseChange] = ()
    proposal: Proposal | None = None
    revision: int | None = None
    problem: str | None = None
    tried: TrialAnswer | None = None


@dataclass(frozen=True, slots=True)
class _LearningTask:
    """The answers to learn from, and what for; of an answer to a request of our own also how that was."""

    answers: Sequence[AnswerSample]
    purpose: Purpose
    headers: Mapping[str, str] = field(default_factory=dict)
    given: Mapping[str, Any] = field(default_factory=dict)
    environment: str | None = None
    status: int | None = None

    def learn(self, call: Call) -> Learned:
        """What the answers teach ``call``. Raises ``UnreadableAnswer``."""
        purpose, before = self.purpose, call.response
        samples = read_samples(before, self.answers, anew=purpose.anew)
        after = learn(before, samples, anew=purpose.anew)
        seen = [each.seen for each in samples if each.seen is not None]
        kept = keep_in(after, before, purpose.keep)
        return Learned(
            response=kept,
            fields=_shown(after, samples),
            events=typed_events(seen) if seen else None,
            text=seen[0].text if seen else None,
            changes=changes(before, kept),
            proposal=self._pages(call, samples),
        )

    def _pages(self, call: Call, samples: Sequence[ReadAnswer]) -> Proposal | None:
        """How the call seems to be paged, where it does not say so itself."""
        if call.pagination is not None or samples[0].kind not in {"json", "xml"}:
            return None
        return propose(call, [PageSample(each.document, self.headers, self.given) for each in samples])


async def look_at(services: Services, caller: Caller, ref: CallRef, samples: Samples, purpose: Purpose) -> Learned:
    """Learn what the call ``ref`` answers from pasted samples. Sends nothing. Needs the role editor.

    Raises:
        NotFound: there is no such API or call.
        InvalidInput: a sample cannot be read, is too large, or there are none or too many.
        LostUpdate: somebody changed the call while this was at work.
    """
    require(caller, Role.EDITOR)
    _check(samples)
    call = await _call(services, ref)
    known = call.response.stream
    answers = []
    for text in samples.texts:
        body = text.encode()
        seen = services.trier.recognise_stream(body, samples.content_type, None if purpose.anew else known)
        answers.append(AnswerSample(body, samples.content_type, seen=seen))
    task = _LearningTask(answers, purpose)
    try:
        learned = await asyncio.to_thread(task.learn, call)
    except UnreadableAnswer as error:
        raise InvalidInput(f"Nothing was learned: {error}.", param="sample") from None
    return await _save(services, caller, ref, (call, task, learned)) if purpose.save else learned


async def send_once(services: Services, caller: Caller, ref: CallRef, sending: Sending, purpose: Purpose) -> Learned:
    """Run the call ``ref`` once for real and learn from what comes. Needs the role editor, as the credential is used.

    An answer that tells of an error, or cannot be read, is shown and not learned from.

    Raises:
        NotFound: there is no such API, call or app.
        InvalidInput: it is not clear whose tokens are meant.
        RequestError, CredentialError, DestinationNotAllowed: it cannot be sent so.
        UpstreamError: no usable answer came.
        LostUpdate: somebody changed the call while this was at work.
    """
    require(caller, Role.EDITOR)
    async with services.store.read() as rx:
        row = await find_api(rx.apis, ref[0])
        end_user = await end_user_of(rx, row, *sending.whose)
    call = find_call(definition_of(row.definition), ref[1])
    run = TrialRun(*ref, sending.environment, sending.values, sending.files, end_user)
    try:
        tried = await services.trier.run(run)
    except UpstreamError:
        await _note(services, caller, ref, sending.environment, None)
        raise
    try:
        learned = await _learn_from(services, caller, ref, call, (sending, tried, purpose))
    except UnreadableAnswer as error:
        learned = Learned(call.response, problem=f"Nothing was learned: {error}.")
    except AdminError:
        await _note(services, caller, ref, sending.environment, tried.status)
        raise
    if learned.revision is None:
        await _note(services, caller, ref, sending.environment, tried.status)
    return replace(learned, tried=tried)


def text_of(tried: TrialAnswer) -> str | None:
    """An answer as text; None where it is an image or a file."""
    content_type = _headers(tried).get("content-type", "")
    return None if kind_of_bytes(tried.body, content_type) is not None else tried.body.decode("utf-8", "replace")


def headers_of(tried: TrialAnswer) -> dict[str, str]:
    """The headers of an answer, cookies without what they hold."""
    return {
        name: _COOKIE.sub(r"\1…", value) if name == "set-cookie" else value for name, value in _headers(tried).items()
    }


def _headers(tried: TrialAnswer) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in tried.headers:
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


async def _learn_from(
    services: Services, caller: Caller, ref: CallRef, call: Call, seen: tuple[Sending, TrialAnswer, Purpose]
) -> Learned:
    """What the answer to a request of our own teaches, saved if it shall be. Raises ``UnreadableAnswer``."""
    sending, tried, purpose = seen
    if not 200 <= tried.status < 300:
        raise UnreadableAnswer(f"the upstream answered {tried.status}, and only good answers are learned from")
    headers = _headers(tried)
    content_type = headers.get("content-type", "")
    stream = services.trier.recognise_stream(tried.body, content_type, None if purpose.anew else call.response.stream)
    answer = AnswerSample(tried.body, content_type, headers.get("content-disposition", ""), stream, whole=tried.whole)
    task = _LearningTask([answer], purpose, headers, sending.values, sending.environment, tried.status)
    learned = await asyncio.to_thread(task.learn, call)
    return await _save(services, caller, ref, (call, task, learned)) if purpose.save else learned


async def _note(services: Services, caller: Caller, ref: CallRef, environment: Environment, status: int | None) -> None:
    """Leave word that a credential was used, where nothing else does."""
    async with services.store.write(caller) as tx:
        row = await tx.apis.get(ref[0])
        target = row.id if row is not None else ref[0]
        await tx.audit.add(CallInitialized(target, ref[0], ref[1], environment, status))


async def _call(services: Services, ref: CallRef) -> Call:
    async with services.store.read() as rx:
        row = await find_api(rx.apis, ref[0])
    return find_call(definition_of(row.definition), ref[1])


async def _save(
    services: Services, caller: Caller, ref: CallRef, learnt: tuple[Call, _LearningTask, Learned]
) -> Learned:
    """Save what was learned; where the response changed meanwhile, learned once more into it as it is now."""
    looked_at, task, learned = learnt
    async with services.store.write(caller) as tx:
        row = await find_api(tx.apis, ref[0])
        call = find_call(definition_of(row.definition), ref[1])
        if replace(call, response=looked_at.response) != looked_at:
            msg = "The call was changed meanwhile: what it answers now may be something else. Initialize it again."
            raise LostUpdate(msg)
        if call != looked_at:
            try:
                learned = await asyncio.to_thread(task.learn, call)
            except UnreadableAnswer:
                msg = "The call's response was changed meanwhile and does not fit the answer. Initialize it again."
                raise LostUpdate(msg) from None
        after = await store_call(services, tx, row, ref[1], as_json(_taught(call, learned, task.purpose)))
        revision = after.revision if after.revision != row.revision else None
        await tx.audit.add(CallInitialized(row.id, row.name, ref[1], task.environment, task.status, revision))
    return replace(learned, revision=after.revision)


def _taught(call: Call, learned: Learned, purpose: Purpose) -> Call:
    """The call with what it learned; the proposed pagination too where the operator takes it."""
    taught = replace(call, response=learned.response)
    if purpose.paged and learned.proposal is not None:
        parameters = {**call.parameters, **learned.proposal.add}
        taught = replace(taught, pagination=learned.proposal.pagination, parameters=parameters)
    return taught


def _check(samples: Samples) -> None:
    if not 1 <= len(samples.texts) <= SAMPLES_MOST:
        msg = f"Give 1 to {SAMPLES_MOST} samples."
        raise InvalidInput(msg, param="samples")
    if any(len(text) > SAMPLE_MOST for text in samples.texts):
        msg = f"A sample has more than {SAMPLE_MOST:,} characters. Paste a part of it that is a whole answer by itself."
        raise InvalidInput(msg, param="sample")


def _shown(after: Response, samples: Sequence[ReadAnswer]) -> tuple[Field, ...]:
    """The fields with the samples of these answers, as far as those have any; secrets masked."""
    documents = [each.document for each in samples if each.document is not None]
    is_read = samples[0].kind in {"json", "xml", "csv"}
    found = detect(*documents, source=cast("Source", samples[0].kind)) if is_read else ()
    fresh = {one.path: one.sample for one in found if one.sample is not None}
    return hide_secrets(replace(one, sample=fresh.get(one.path, one.sample)) for one in after.fields)
