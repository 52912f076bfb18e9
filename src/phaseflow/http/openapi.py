"""OpenAPI 3.1 from the endpoints and their models; there is no other description to keep in step."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema

from phaseflow.domain.errors import EngineStopped, InvalidRequest, NotADatabase, PhaseflowError, StoreUnavailable
from phaseflow.http.access import SAFE_METHODS
from phaseflow.http.endpoint import FORM, JSON, MULTIPART, Endpoint, Parameters
from phaseflow.http.event_id import PATTERN
from phaseflow.http.problems import (
    MEDIA_TYPE,
    MODELS,
    BodyInterrupted,
    BodyTooLarge,
    CrossOrigin,
    LimitReached,
    LocalOnly,
    Problem,
    Unauthorized,
    UnknownHost,
    UnsupportedMediaType,
    status_of,
)

_REFS = "#/components/schemas/{model}"
_ANYWHERE: tuple[type[PhaseflowError], ...] = (UnknownHost, EngineStopped, StoreUnavailable, NotADatabase, BodyTooLarge)
VERSION = "1"
"""Of the API: grows when a client has to change."""
_EVENT_STREAM = "text/event-stream"
_Json = dict[str, Any]


def document(endpoints: Sequence[Endpoint], prefix: str, *, cookie: str | None) -> _Json:
    """The description of the endpoints, mounted under ``prefix``; ``cookie`` is named where a token is asked for."""
    with_token = cookie is not None
    schemas = _Schemas(endpoints)
    paths: dict[str, _Json] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, schemas, with_token)
    components: _Json = {"schemas": schemas.definitions}
    if with_token:
        components["securitySchemes"] = {
            "token": {"type": "http", "scheme": "bearer"},
            "cookie": {"type": "apiKey", "in": "cookie", "name": cookie},
        }
    return {
        "openapi": "3.1.0",
        "info": {"title": "phaseflow", "version": VERSION, "description": _ABOUT},
        "servers": [{"url": prefix or "/"}],
        "paths": paths,
        "components": components,
    }


_ABOUT = "Document ingestion in four durable phases whose status never lies."

_TAG: _Json = {
    "headers": {
        "ETag": {
            "description": "Names what can be edited of this, for If-Match.",
            "required": True,
            "schema": {"type": "string"},
        }
    }
}
_FILES: _Json = {
    "type": "object",
    "properties": {
        "files": {"type": "array", "minItems": 1, "items": {"type": "string", "format": "binary"}},
        "metadata": {"type": "object", "description": "What is said about all the files."},
        "uri": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Before a file: its uri, in place of its name.",
        },
        "origin": {"type": "string", "description": "Where all the files come from, in your words."},
    },
    "required": ["files"],
    "additionalProperties": False,
}


class _Schemas:
    """The JSON schemas of all models, each once."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        wanted: list[tuple[type[BaseModel], JsonSchemaMode]] = [(Problem, "serialization")]
        wanted += [(model, "serialization") for model in MODELS.values()]
        for endpoint in endpoints:
            for kind in endpoint.answers.values():
                models = kind.values() if isinstance(kind, Mapping) else [kind]
                wanted += [(model, "serialization") for model in models if isinstance(model, type)]
            wanted += [(m, "validation") for m in [endpoint.parameters, endpoint.body] if m is not None]
        unique = list(dict.fromkeys(wanted))
        self._refs, found = models_json_schema(unique, ref_template=_REFS, schema_generator=_Generator)
        self.definitions: _Json = found["$defs"]
        self._parameters = {model: self._taken(model) for model in dict.fromkeys(e.parameters for e in endpoints)}

    def ref(self, model: type[BaseModel], mode: JsonSchemaMode = "serialization") -> _Json:
        """A reference to the schema of a model."""
        return dict(self._refs[model, mode])

    def parameters(self, model: type[Parameters]) -> _Json:
        """The schema of parameters, which stand in their endpoint and not among the components."""
        return self._parameters[model]

    def _taken(self, model: type[BaseModel]) -> _Json:
        name = self._refs[model, "validation"]["$ref"].rpartition("/")[2]
        taken: _Json = self.definitions.pop(name)
        return taken


class _Generator(GenerateJsonSchema):
    """Where a union is told apart by a tag, the tag is required, also where a model alone has a default for it. A
    model that is private to the module of its endpoint is shown without the underscore, as handlers are."""

    def normalize_name(self, name: str) -> str:
        return super().normalize_name(name).lstrip("_")

    def model_schema(self, schema: Any) -> _Json:
        made = super().model_schema(schema)
        return made | {"title": str(made["title"]).lstrip("_")} if "title" in made else made

    def tagged_union_schema(self, schema: Any) -> _Json:
        made = super().tagged_union_schema(schema)
        tag = made.get("discriminator", {}).get("propertyName")
        for choice in made.get("oneOf", []):
            definition = self.get_schema_from_definitions(choice["$ref"]) if "$ref" in choice else choice
            if tag and definition is not None and tag not in definition.get("required", []):
                definition["required"] = [*definition.get("required", []), tag]
        return made


def _operation(endpoint: Endpoint, schemas: _Schemas, with_token: bool) -> _Json:
    operation: _Json = {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "parameters": _parameters(endpoint, schemas),
        "responses": _answers(endpoint, schemas) | _problems(endpoint, schemas, with_token),
    }
    if endpoint.body is not None:
        content = {"schema": schemas.ref(endpoint.body, "validation")}
        kinds = [JSON, FORM] if endpoint.takes_form else [JSON]
        operation["requestBody"] = {
            "required": endpoint.body_required,
            "content": dict.fromkeys(kinds, content),
        }
    if endpoint.takes_files:
        content = {MULTIPART: {"schema": _FILES}} | operation.get("requestBody", {}).get("content", {})
        operation["requestBody"] = {"required": True, "content": content}
    if with_token and not endpoint.public:
        operation["security"] = [{"token": []}, {"cookie": []}]
    return operation


def _parameters(endpoint: Endpoint, schemas: _Schemas) -> list[_Json]:
    model = schemas.parameters(endpoint.parameters)
    found = []
    for name, schema in model.get("properties", {}).items():
        place = _place(endpoint, name)
        told = {key: value for key, value in schema.items() if key not in {"title", "description"}}
        parameter = {"name": name, "in": place, "schema": _without_null(told)}
        parameter["required"] = place == "path" or name in model.get("required", [])
        found.append(parameter | ({"description": schema["description"]} if "description" in schema else {}))
    return found


def _place(endpoint: Endpoint, name: str) -> str:
    if name in endpoint.path_names:
        return "path"
    return "header" if name in endpoint.parameters.headers else "query"


def _without_null(schema: _Json) -> _Json:
    """A parameter that may be None may be left out; there is no null in a query or a header."""
    choices = [choice for choice in schema.get("anyOf", []) if choice.get("type") != "null"]
    if len(choices) != 1:
        return schema
    rest = {key: value for key, value in schema.items() if key not in {"anyOf", "default"}}
    return rest | dict(choices[0])


def _answers(endpoint: Endpoint, schemas: _Schemas) -> _Json:
    answers: _Json = {}
    for status, kind in endpoint.answers.items():
        answers[str(status)] = {"description": endpoint.summary} | (_TAG if endpoint.is_tagged else {})
        if isinstance(kind, str):
            schema = {"type": "object"} if kind == JSON else {"type": "string"}
            answers[str(status)]["content"] = {kind.split(";")[0]: {"schema": schema}}
        elif isinstance(kind, Mapping):
            events = [_event(name, schemas.ref(model)) for name, model in kind.items()]
            answers[str(status)]["content"] = {_EVENT_STREAM: {"schema": {"anyOf": events}}}
        elif kind is not None:
            answers[str(status)]["content"] = {JSON: {"schema": schemas.ref(kind)}}
    return answers


def _event(name: str, data: _Json) -> _Json:
    carried = {"type": "string", "contentMediaType": JSON, "contentSchema": data}
    properties = {"event": {"const": name}, "id": {"type": "string", "pattern": PATTERN}, "data": carried}
    return {"type": "object", "properties": properties, "required": ["event", "id", "data"]}


def _problems(endpoint: Endpoint, schemas: _Schemas, with_token: bool) -> _Json:
    by_status: dict[int, list[type[PhaseflowError]]] = {}
    for error in dict.fromkeys([*endpoint.problems, *_implied(endpoint, with_token)]):
        by_status.setdefault(int(status_of(error)), []).append(error)
    return {str(status): _problem(errors, schemas) for status, errors in sorted(by_status.items())}


def _implied(endpoint: Endpoint, with_token: bool) -> Iterable[type[PhaseflowError]]:
    yield from _ANYWHERE
    if endpoint.method not in SAFE_METHODS or not endpoint.public:
        yield CrossOrigin
    if not with_token:
        yield LocalOnly
    elif not endpoint.public:
        yield from (Unauthorized, LimitReached)
    if endpoint.body is not None or endpoint.takes_files:
        yield from (UnsupportedMediaType, BodyInterrupted)
    if endpoint.body is not None or endpoint.parameters.model_fields or endpoint.is_strict:
        yield InvalidRequest


def _problem(errors: list[type[PhaseflowError]], schemas: _Schemas) -> _Json:
    codes = ", ".join(f"`{error.code}`" for error in errors)
    models = list(dict.fromkeys(MODELS.get(error.code, Problem) for error in errors))
    refs = [schemas.ref(model) for model in models]
    schema = refs[0] if len(refs) == 1 else {"anyOf": refs}
    return {"description": codes, "content": {MEDIA_TYPE: {"schema": schema}}}
