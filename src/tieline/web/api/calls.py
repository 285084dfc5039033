"""Routes of calls: each a part of its API's definition; what they answer, and how they learn it."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Request, Response
from pydantic import Field

from tieline.controlplane import calls, drift, initialize
from tieline.controlplane.calls import CallView
from tieline.controlplane.initialize import Learned, Place, Purpose, Samples
from tieline.core.errors import InvalidInput
from tieline.definitions import model
from tieline.definitions.canonical import fields_to_json, pagination_to_json, parameter_to_json, response_to_json
from tieline.definitions.infer.difference import Difference
from tieline.definitions.infer.lesson import Change
from tieline.definitions.infer.pagination import Proposal
from tieline.web.api.etags import etag, revisions
from tieline.web.api.payload import DEFINITION_BODY, checked_definition, definition_sent
from tieline.web.api.shared import CallerHere, Environment, Many, PageHere, ServicesHere, Shown, Strict, Time

router = APIRouter(prefix="/apis/{api}/calls", tags=["Calls"])

RAW_MOST = 256 * 1024

Tag = Annotated[str | None, Header(max_length=1000)]


def _place(api: str, call: str) -> Place:
    return api, call


class CallBody(Strict):
    """A call to add: its name, and the call as a definition writes it."""

    name: str = Field(min_length=1, max_length=63, examples=["ask"])
    definition: Any = Field(description="YAML or JSON as text, or a JSON object.")


class CallShown(Shown):
    """A call. ``door`` is its path on the app listener; ``revision`` is its API's, which rises with each change."""

    api: str
    name: str
    title: str
    folder: str | None
    use_as: Literal["data", "action"]
    method: str
    target: str
    type: str
    door: str
    revision: int


class CallWhole(CallShown):
    """A call as the definition writes it."""

    definition: dict[str, Any]


class SchemasShown(Shown):
    """JSON Schema (2020-12) of what a call takes and of what it gives."""

    input: dict[str, Any]
    output: dict[str, Any]


class DriftShown(Shown):
    """A place where answers differ from what is known: another type, a field missing, one that is new; how often."""

    environment: Environment
    path: str
    kind: Literal["type", "missing", "new"]
    expected: str
    found: str
    count: int
    first_at: Time
    last_at: Time


class InitializeBody(Strict):
    """What to learn from, and what for.

    ``keep_samples``: into the definition go no samples (false), masked ones (true or ``masked``), or ``whole`` ones.
    """

    sample: str | None = Field(None, min_length=1, max_length=initialize.SAMPLE_MOST)
    samples: list[str] | None = Field(None, min_length=1, max_length=initialize.SAMPLES_MOST)
    content_type: str = Field("", max_length=200, description="Of the samples, where it is known.")
    save: bool = False
    anew: bool = Field(default=False, description="Forget what earlier answers showed; people's decisions stay.")
    keep_samples: bool | Literal["masked", "whole"] = False
    pagination: bool = Field(default=False, description="Save the proposed pagination too.")

    def purpose(self) -> Purpose:
        """What learning is for."""
        keep = self.keep_samples
        how: initialize.Kept = "none" if keep is False else "whole" if keep == "whole" else "masked"
        return Purpose(self.save, self.anew, how, self.pagination)

    def pasted(self) -> Samples | None:
        """The samples; None where there are none. Raises InvalidInput for both of ``sample`` and ``samples``."""
        if self.sample is not None and self.samples is not None:
            msg = "sample and samples exclude each other. Give one of them."
            raise InvalidInput(msg, param="samples")
        texts = self.samples if self.sample is None else [self.sample]
        return None if texts is None else Samples(texts, self.content_type)


class FieldShown(Shown):
    """A field of an answer, as docs/types.md has it."""

    path: str
    type: str
    list: bool
    include: bool
    name: str | None
    object: str | None
    parse: bool
    optional: bool
    undecided: bool
    pinned: bool
    sample: Any


class StreamEventShown(Shown):
    """The events of one name in a stream; null stands for those without one."""

    name: str | None
    fields: list[FieldShown]


class DifferenceShown(Shown):
    """A field that is new, gone or changed (in the keys of ``what``), compared with what was saved."""

    path: str
    event: str | None
    kind: Literal["new", "gone", "changed"]
    what: list[str]
    old: dict[str, Any] | None
    new: dict[str, Any] | None


class PaginationShown(Shown):
    """How the call seems to be paged, and why; ``add`` holds a parameter that the call would need for it."""

    pagination: dict[str, Any]
    because: str
    add: dict[str, dict[str, Any]]


class InitializedShown(Shown):
    """What answers taught. ``response`` is what is saved, or would be; ``problem`` is why nothing was learned.

    ``raw`` is the first answer's text, up to 256 KiB of it (then ``cut``); null where it is no text. ``status`` is null
    for samples. ``text`` is what a stream said.
    """

    status: int | None
    headers: dict[str, str]
    raw: str | None
    cut: bool
    type: str
    fields: list[FieldShown]
    events: list[StreamEventShown] | None
    text: str | None
    diff: list[DifferenceShown]
    pagination: PaginationShown | None
    response: dict[str, Any]
    saved: bool
    revision: int | None
    problem: str | None


@router.post("", status_code=201)
async def add_call(
    api: str, body: CallBody, response: Response, services: ServicesHere, caller: CallerHere
) -> CallWhole:
    """Add a call to an API. Needs the role editor."""
    view = await calls.add(services, caller, api, body.name, checked_definition(body.definition))
    response.headers["Location"] = f"/api/v1/apis/{view.row.name}/calls/{view.name}"
    return _whole(view, response)


@router.get("")
async def list_calls(api: str, page: PageHere, services: ServicesHere, caller: CallerHere) -> Many[CallShown]:
    """List the calls of an API by name. Needs the role viewer."""
    return Many[CallShown].of(await calls.list_calls(services, caller, api, page.request()), _shown)


@router.get("/{call}")
async def show_call(api: str, call: str, response: Response, services: ServicesHere, caller: CallerHere) -> CallWhole:
    """Show a call. Needs the role viewer."""
    return _whole(await calls.show(services, caller, api, call), response)


@router.put("/{call}", openapi_extra=DEFINITION_BODY)
async def change_call(
    place: Annotated[Place, Depends(_place)],
    request: Request,
    response: Response,
    services: ServicesHere,
    caller: CallerHere,
    if_match: Tag = None,
) -> CallWhole:
    """Replace a call. ``If-Match`` guards against lost updates of the API. Needs the role editor."""
    wanted = revisions(if_match)
    content = await definition_sent(request)
    return _whole(await calls.change(services, caller, place, content, wanted), response)


@router.delete("/{call}", status_code=204)
async def remove_call(
    place: Annotated[Place, Depends(_place)], services: ServicesHere, caller: CallerHere, if_match: Tag = None
) -> None:
    """Remove a call from its API. ``If-Match`` guards against lost updates. Needs the role editor."""
    await calls.remove(services, caller, place, revisions(if_match))


@router.get("/{call}/schema")
async def show_schemas(api: str, call: str, services: ServicesHere, caller: CallerHere) -> SchemasShown:
    """JSON Schema of what a call takes and of what it gives. Needs the role viewer."""
    takes, gives = calls.schemas((await calls.show(services, caller, api, call)).call)
    return SchemasShown(input=dict(takes), output=dict(gives))


@router.get("/{call}/drift")
async def list_drift(api: str, call: str, services: ServicesHere, caller: CallerHere) -> Many[DriftShown]:
    """Where answers differ from what is known of them, most frequent first, all at once. Needs the role viewer."""
    rows = await drift.list_drift(services, caller, api, call)
    shown = [DriftShown(**{name: getattr(row, name) for name in DriftShown.model_fields}) for row in rows]
    return Many[DriftShown](items=shown, next=None)


@router.post("/{call}/initialize")
async def initialize_call(
    place: Annotated[Place, Depends(_place)], body: InitializeBody, services: ServicesHere, caller: CallerHere
) -> InitializedShown:
    """Learn what a call answers from pasted samples; save it if asked to. Needs the role editor."""
    pasted = body.pasted()
    if pasted is None:
        raise InvalidInput("Give a sample.", param="sample")
    learned = await initialize.look_at(services, caller, place, pasted, body.purpose())
    return _initialized(learned, None, {}, pasted.texts[0])


def _shown(view: CallView) -> CallShown:
    call = view.call
    return CallShown(
        api=view.row.name,
        name=view.name,
        title=call.title or view.name,
        folder=call.folder,
        use_as=call.use_as,
        method=call.method,
        target=call.path or call.url or "",
        type=call.response.type,
        door=f"/call/{view.row.name}/{view.name}",
        revision=view.row.revision,
    )


def _whole(view: CallView, response: Response) -> CallWhole:
    response.headers["ETag"] = etag(view.row.revision)
    return CallWhole(**dict(_shown(view)), definition=dict(calls.as_json(view.call)))


def _initialized(learned: Learned, status: int | None, headers: dict[str, str], raw: str | None) -> InitializedShown:
    events = learned.events
    return InitializedShown(
        status=status,
        headers=headers,
        raw=None if raw is None else raw[:RAW_MOST],
        cut=raw is not None and len(raw) > RAW_MOST,
        type=learned.response.type,
        fields=[_field(each) for each in learned.fields],
        events=None if events is None else [_event(each) for each in events],
        text=learned.text,
        diff=[_difference(each) for each in learned.changes],
        pagination=None if learned.proposal is None else _proposal(learned.proposal),
        response=response_to_json(learned.response),
        saved=learned.revision is not None,
        revision=learned.revision,
        problem=learned.problem,
    )


def _field(one: model.Field) -> FieldShown:
    return FieldShown(**{name: getattr(one, name) for name in FieldShown.model_fields})


def _event(one: model.StreamEvent) -> StreamEventShown:
    return StreamEventShown(name=one.name, fields=[_field(each) for each in one.fields])


def _difference(change: Change) -> DifferenceShown:
    one: Difference = change.difference
    old = None if one.old is None else fields_to_json([one.old])[0]
    new = None if one.new is None else fields_to_json([one.new])[0]
    return DifferenceShown(path=one.path, event=change.event, kind=one.kind, what=list(one.what), old=old, new=new)


def _proposal(one: Proposal) -> PaginationShown:
    return PaginationShown(
        pagination=pagination_to_json(one.pagination),
        because=one.because,
        add={name: parameter_to_json(each) for name, each in one.add.items()},
    )
