"""An endpoint is one declaration: its route, the check of its requests and its OpenAPI description come from it."""

import re
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Generic, TypeVar, get_args
from urllib.parse import parse_qsl

import anyio
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from phaseflow.domain.documents import DocumentInfo, DocumentsChanged
from phaseflow.domain.errors import InvalidRequest, PhaseflowError
from phaseflow.domain.status import JobStatusResponse, KnowledgeBase, Page
from phaseflow.domain.validation import first_fault
from phaseflow.flow.inputs import foreign_cursor
from phaseflow.http.app_state import AppState
from phaseflow.http.middleware.access_log import KEY, LoggedRequest
from phaseflow.http.problems import BodyInterrupted, BodyTooLarge, NotReady, UnsupportedMediaType

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
_API = "/api/"
_SAFE = frozenset({"GET", "HEAD"})
_CONDITIONS = frozenset({"If-Match", "If-None-Match"})
"""Who sends one counts on it: a change that cannot be bound to it is none."""
_SHOWN = 64
"""Characters of an unknown name."""
_TAGGED = KnowledgeBase | DocumentInfo
_BOUND = {"kb_id": "kb", "job_id": "job"}
"""Parameters of the path that stand in the log, under the names they have there."""


class Parameters(BaseModel):
    """What an endpoint takes from its path, its query and the headers named."""

    model_config = ConfigDict(frozen=True)
    headers: ClassVar[frozenset[str]] = frozenset()
    """The names (aliases) of those fields that stand in a header."""
    whole: ClassVar[frozenset[str]] = frozenset()
    """The names (aliases) of those fields that are whole numbers."""

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        fields = cls.model_fields.items()
        cls.whole = frozenset(field.alias or name for name, field in fields if _takes_int(field.annotation))


def _takes_int(kind: Any) -> bool:
    return kind is int or any(_takes_int(each) for each in get_args(kind))


_WHOLE_NUMBER: Final = re.compile("-?[0-9]+")
"""As JSON and OpenAPI have it. Pydantic also reads ``100.0``, ``1_000``, ``+1`` and blanks round a number as one."""

_ParametersT_co = TypeVar("_ParametersT_co", bound=Parameters, covariant=True)
_BodyT_co = TypeVar("_BodyT_co", covariant=True)
ModelT = TypeVar("ModelT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class RequestContext(Generic[_ParametersT_co, _BodyT_co]):
    """A request whose parameters and body have been checked."""

    state: AppState
    request: Request
    at: _ParametersT_co
    body: _BodyT_co

    def bind_job(self, job_id: str) -> None:
        """Name the job that it is about in the log."""
        self.request.scope[KEY].bound["job"] = job_id


@dataclass(frozen=True, slots=True)
class JsonResult:
    """A value of the declared kind, and the status it is sent with."""

    value: BaseModel | None
    status: int = 200


_Events = Mapping[str, type[BaseModel]]
"""What the events of a stream carry, by their names."""
_ResultKind = type[BaseModel] | _Events | str | None
Handler = Callable[[RequestContext[Any, Any]], Awaitable[JsonResult | Response]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method of one path.

    ``answers`` says what each good status carries: a model, events, nothing, or text of a media type. ``problems`` are
    the errors it may answer besides those that any endpoint may. ``is_tagged``: its answers have the ``ETag`` of what
    they show. ``takes_files``: the handler reads the body itself,
    parts of a form named ``files``, or JSON (``body``). ``public``: no token is asked for.
    """

    method: str
    path: str
    summary: str
    handle: Handler
    answers: Mapping[int, _ResultKind]
    parameters: type[Parameters] = Parameters
    body: type[BaseModel] | None = None
    body_required: bool = False
    takes_form: bool = False
    takes_files: bool = False
    is_tagged: bool = False
    problems: Sequence[type[PhaseflowError]] = field(default=())
    public: bool = False

    @property
    def name(self) -> str:
        """What clients may call it, unique."""
        name = str(getattr(self.handle, "__name__", "")).lstrip("_")
        return f"{name}_phase" if "phase" in self.path_names else name

    @property
    def path_names(self) -> list[str]:
        """The parameters that stand in the path."""
        return [part[1:-1] for part in self.path.split("/") if part.startswith("{")]

    async def respond(self, state: AppState, request: Request) -> Response:
        """Check the request, let it be handled, and put the answer into JSON."""
        parameters = self._checked_parameters(request)
        call = RequestContext(state, request, parameters, await self._checked_body(state, request))
        answer = await self.handle(call)
        if isinstance(answer, Response):
            return answer
        if answer.value is None:
            return Response(status_code=answer.status)
        if isinstance(answer.value, JobStatusResponse):
            call.bind_job(answer.value.job_id)
        for kb_id in _told(answer.value):
            state.hub.invalidate(kb_id)
        headers = {"ETag": f'"{answer.value.etag}"'} if isinstance(answer.value, _TAGGED) and self.is_tagged else None
        return Response(answer.value.model_dump_json(), answer.status, headers, JSON)

    @property
    def is_strict(self) -> bool:
        """Whether what it does not know in a query is refused. Elsewhere others decide what is sent: OpenAI's clients,
        probes, Prometheus."""
        return self.path.startswith(_API)

    def _checked_parameters(self, request: Request) -> Parameters:
        elsewhere = self.parameters.headers.union(self.path_names)
        if self.is_strict:
            self._check_names([name for name, _ in request.query_params.multi_items()], elsewhere)
        query = {name: value for name, value in request.query_params.items() if name not in elsewhere}
        given = query | self._headers(request) | request.path_params
        for name in self.parameters.whole & given.keys():
            if not _WHOLE_NUMBER.fullmatch(given[name]):
                raise InvalidRequest(name, "must be a whole number")
        try:
            return self.parameters.model_validate_strings(given)
        except ValidationError as error:
            raise _first_fault(error) from None

    def _check_names(self, given: Sequence[str], elsewhere: Collection[str]) -> None:
        """Raise InvalidRequest for what would be ignored: a filter that was misspelt would let everything through."""
        known = [field.alias or name for name, field in self.parameters.model_fields.items()]
        taken = [name for name in known if name not in elsewhere]
        for name in given:
            if name not in taken:
                all_taken = f"takes {', '.join(taken)}" if taken else "takes no parameters"
                raise InvalidRequest(name[:_SHOWN], f"is not a parameter here; this address {all_taken}")
            if given.count(name) > 1:
                raise InvalidRequest(name, "is given more than once; give it once")

    def _headers(self, request: Request) -> dict[str, str]:
        """The blanks round a value are no part of it (RFC 9110, 5.5); the server leaves those behind it on. One header
        on several lines is one list (5.3)."""
        given = request.headers
        if self.is_strict and request.method not in _SAFE:
            for name in _CONDITIONS.difference(self.parameters.headers):
                if name in given:
                    raise InvalidRequest(
                        name, "is not taken here, and nothing was changed; send it without this header"
                    )
        return {name: ", ".join(given.getlist(name)).strip(" \t") for name in self.parameters.headers if name in given}

    async def _checked_body(self, state: AppState, request: Request) -> BaseModel | None:
        if self.body is None or self.takes_files:
            return None
        raw = await received(state, request)
        if not raw and not self.body_required:
            return None
        kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
        if self.takes_form and kind == FORM:
            return checked(self.body, dict(parse_qsl(raw.decode("latin-1"), keep_blank_values=True)))
        if kind != JSON:
            raise UnsupportedMediaType(f"the body is {kind or 'of no kind'}; send JSON with Content-Type: {JSON}")
        return checked(self.body, raw)


async def received(state: AppState, request: Request, limit: int | None = None) -> bytes:
    """The whole body, which has to be here in time, and to have at most ``limit`` bytes."""
    with state.seats.receiving() as until_stopped:
        try:
            with until_stopped, anyio.fail_after(state.limits.body_s):
                return await request.body() if limit is None else await _at_most(request, limit)
        except ClientDisconnect:
            raise BodyInterrupted("the connection ended before the body did; send it again") from None
        except TimeoutError:
            raise BodyInterrupted(
                f"the body was not here within {state.limits.body_s:g} seconds; send it again"
            ) from None
    raise NotReady("the service is stopping; send it again when it is back")


async def _at_most(request: Request, limit: int) -> bytes:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > limit:
            raise BodyTooLarge(f"the body has more than {limit:,} bytes; send it in parts")
    return bytes(body)


def _told(value: BaseModel) -> Iterator[str]:
    """The knowledge bases whose status an answer tells."""
    if isinstance(value, JobStatusResponse | KnowledgeBase):
        yield value.kb_id
    elif isinstance(value, Page):
        for item in value.items:
            yield from _told(item)
    elif isinstance(value, DocumentsChanged) and value.job is not None:
        yield from _told(value.job)


def checked(model: type[ModelT], body: bytes | dict[str, str]) -> ModelT:
    """A body as a model. Raises InvalidRequest, naming the field."""
    try:
        if isinstance(body, dict):
            return model.model_validate(body)
        return model.model_validate_json(body, strict=True)
    except ValidationError as error:
        raise _first_fault(error) from None


def _first_fault(error: ValidationError) -> InvalidRequest:
    fault = first_fault(error)
    if fault.place == "cursor":
        return foreign_cursor()
    return InvalidRequest(fault.place or "body", fault.problem)


class _PathRoutes:
    """The endpoints of one path; the ASGI application behind its route."""

    def __init__(self, state: AppState, endpoints: Sequence[Endpoint]) -> None:
        self._state = state
        self._by_method = {endpoint.method: endpoint for endpoint in endpoints}
        if "GET" in self._by_method:
            self._by_method["HEAD"] = self._by_method["GET"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Cancelling it does to the engine what cancelling the engine's method does."""
        endpoint = self._by_method.get(scope["method"])
        if endpoint is None:
            raise HTTPException(405, headers={"Allow": ", ".join(sorted(self._by_method))})
        record: LoggedRequest = scope[KEY]
        record.route = endpoint.path
        record.bound |= {_BOUND[name]: value for name, value in scope["path_params"].items() if name in _BOUND}
        response = await endpoint.respond(self._state, Request(scope, receive))
        await response(scope, receive, send)


def routes(state: AppState, endpoints: Sequence[Endpoint]) -> list[Route]:
    """One route a path, so that a method it does not take is answered with all those it takes."""
    paths = dict.fromkeys(endpoint.path for endpoint in endpoints)
    return [Route(path, _PathRoutes(state, [e for e in endpoints if e.path == path])) for path in paths]
