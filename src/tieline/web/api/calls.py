"""Routes of calls: each a part of its API's definition; what they answer, and how they learn it."""

from base64 import b64decode
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Request, Response
from pydantic import Field

from tieline.controlplane import calls, drift, initialize
from tieline.controlplane.calls import CallView
from tieline.controlplane.initialize import CallRef, Learned, Purpose, Samples, Sending
from tieline.core.errors import InvalidInput
from tieline.core.names import Environment
from tieline.definitions import model
from tieline.definitions.canonical import fields_to_json, pagination_to_json, parameter_to_json, response_to_json
from tieline.definitions.infer.difference import Difference
from tieline.definitions.infer.learning import ResponseChange
from tieline.definitions.infer.pagination import Proposal
from tieline.ports.operator import TrialFile
from tieline.web.api.etags import etag, revisions
from tieline.web.api.payload import DEFINITION_BODY, checked_definition, definition_sent
from tieline.web.api.shared import CallerHere, Listing, PageHere, ServicesHere, Shown, Strict, Time, Title

router = APIRouter(prefix="/apis/{api}/calls", tags=["Calls"])

RAW_MOST = 256 * 1024

Tag = Annotated[str | None, Header(max_length=1000)]


def _place(api: str, call: str) -> CallRef:
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


class FileBody(Strict):
    """A file for a parameter of the call."""

    filename: str = Field("", max_length=255)
    content_type: str = Field("application/octet-stream", max_length=200)
    base64: str

    def given(self, name: str) -> TrialFile:
        """The file. Raises InvalidInput, naming the parameter ``name``, where it is not in base64."""
        try:
            content = b64decode(self.base64, validate=True)
        except ValueError:
            msg = "A file is not in base64. Encode its bytes by RFC 4648 section 4."
            raise InvalidInput(msg, param=f"files.{name}"[:80]) from None
        return TrialFile(self.filename, self.content_type, content)


class InitializeBody(Strict):
    """What to learn from, and what for: ``parameters`` (and ``files``) to send one real request, else samples.

    ``keep_samples``: into the definition go no samples (false), masked ones (true or ``masked``), or ``whole`` ones.
    """

    parameters: dict[str, Any] | None = Field(None, description="What the call is run with.")
    files: dict[str, FileBody] = Field(default_factory=dict, max_length=100)
    environment: Environment = "live"
    connection: Title | None = Field(None, description="The app's name for the user whose connection is used.")
    app: Title | None = Field(None, description="The app whose user it is; may be left out where there is one only.")
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

    def source(self) -> Samples | Sending:
        """Where answers come from. Raises InvalidInput unless exactly one place is said."""
        given = [each for each in (self.parameters, self.sample, self.samples) if each is not None]
        sends = self.files or self.connection or self.app
        if len(given) != 1 or (sends and self.parameters is None):
            msg = "Give parameters, to send one real request, or sample, or samples: one of them."
            raise InvalidInput(msg, param="parameters")
        if self.parameters is not None:
            files = {name: each.given(name) for name, each in self.files.items()}
            return Sending(self.environment, self.parameters, files, (self.connection, self.app))
        texts = [self.sample] if self.sample is not None else self.samples or []
        return Samples(texts, self.content_type)


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

    ``raw`` is the first answer's text; null where it is no text. ``cut`` says that there was more than is shown, or
    than was read. ``status`` is null for samples. ``text`` is what a stream said.
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
async def list_calls(api: str, page: PageHere, services: ServicesHere, caller: CallerHere) -> Listing[CallShown]:
    """List the calls of an API by name. Needs the role viewer."""
    return Listing[CallShown].of(await calls.list_calls(services, caller, api, page.request()), _shown)


@router.get("/{call}")
async def show_call(api: str, call: str, response: Response, services: ServicesHere, caller: CallerHere) -> CallWhole:
    """Show a call. Needs the role viewer."""
    return _whole(await calls.show(services, caller, api, call), response)


@router.put("/{call}", openapi_extra=DEFINITION_BODY)
async def change_call(
    place: Annotated[CallRef, Depends(_place)],
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
    place: Annotated[CallRef, Depends(_place)], services: ServicesHere, caller: CallerHere, if_match: Tag = None
) -> None:
    """Remove a call from its API. ``If-Match`` guards against lost updates. Needs the role editor."""
    await calls.remove(services, caller, place, revisions(if_match))


@router.get("/{call}/schema")
async def show_schemas(api: str, call: str, services: ServicesHere, caller: CallerHere) -> SchemasShown:
    """JSON Schema of what a call takes and of what it gives. Needs the role viewer."""
    takes, gives = calls.schemas((await calls.show(services, caller, api, call)).call)
    return SchemasShown(input=dict(takes), output=dict(gives))


@router.get("/{call}/drift")
async def list_drift(api: str, call: str, services: ServicesHere, caller: CallerHere) -> Listing[DriftShown]:
    """Where answers differ from what is known of them, most frequent first, all at once. Needs the role viewer."""
    rows = await drift.list_drift(services, caller, api, call)
    shown = [DriftShown(**{name: getattr(row, name) for name in DriftShown.model_fields}) for row in rows]
    return Listing[DriftShown](items=shown, next=None)


@router.post("/{call}/initialize")
async def initialize_call(
    place: Annotated[CallRef, Depends(_place)], body: InitializeBody, services: ServicesHere, caller: CallerHere
) -> InitializedShown:
    """Learn what a call answers, by one real request or from samples; save it if asked to. Needs the role editor."""
    source = body.source()
    if isinstance(source, Samples):
        learned = await initialize.look_at(services, caller, place, source, body.purpose())
        return _initialized(learned, source.texts[0])
    return _initialized(await initialize.send_once(services, caller, place, source, body.purpose()), None)


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


def _initialized(learned: Learned, sample: str | None) -> InitializedShown:
    events, tried = learned.events, learned.tried
    raw = sample if tried is None else initialize.text_of(tried)
    return InitializedShown(
        status=None if tried is None else tried.status,
        headers={} if tried is None else initialize.headers_of(tried),
        raw=None if raw is None else raw[:RAW_MOST],
        cut=(tried is not None and not tried.whole) or (raw is not None and len(raw) > RAW_MOST),
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


def _difference(change: ResponseChange) -> DifferenceShown:
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
