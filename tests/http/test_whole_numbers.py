"""Each body and each query takes as a whole number what OpenAPI calls an integer, and nothing that is only like one."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel, ValidationError

from phaseflow.flow import PhaseFlow
from phaseflow.http import openai
from phaseflow.http.app import ENDPOINTS
from tests.http.service import serving
from tests.matrices import together

ALL = [*ENDPOINTS, *openai.ENDPOINTS]
BODIES = list(dict.fromkeys(each.body for each in ALL if each.body is not None))
LIKE_ONE = ["100.0", "1e2", "1_0", "+5", " 5", "5 ", "true", "٥", "0x5", "", "5.", "null"]
Steps = tuple[str | int, ...]


def _options(schema: dict[str, Any], root: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The kinds of value that a schema allows."""
    if "$ref" in schema:
        yield from _options(root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    elif found := [*schema.get("anyOf", ()), *schema.get("oneOf", ())]:
        for each in found:
            yield from _options(each, root)
    else:
        yield schema


def _whole_numbers(schema: dict[str, Any], root: dict[str, Any], value: Any) -> Iterator[tuple[Steps, Any]]:
    """(place, body): each place of a body where a whole number is asked for and no other kind of value that is like
    one; what is around it, with ``value`` in it."""
    options = list(_options(schema, root))
    kinds = {each.get("type") for each in options}
    if "integer" in kinds and not kinds & {"number", "boolean", "string"}:
        yield (), value
    for each in options:
        tags = {name: found["const"] for name, found in each.get("properties", {}).items() if "const" in found}
        for name, inner in each.get("properties", {}).items():
            for place, body in _whole_numbers(inner, root, value):
                yield (name, *place), {**tags, name: body}
        if isinstance(items := each.get("items"), dict):
            for place, body in _whole_numbers(items, root, value):
                yield (0, *place), [body]
        if isinstance(others := each.get("additionalProperties"), dict):
            for place, body in _whole_numbers(others, root, value):
                yield ("k", *place), {"k": body}


def _is_refused(model: type[BaseModel], place: Steps, body: Any) -> bool:
    """Whether what stands at a place is a fault of the body, whatever else is one."""
    try:
        model.model_validate_json(json.dumps(body), strict=True)
    except ValidationError as error:
        for each in error.errors():
            steps = iter(each["loc"])  # tags and kinds of value stand between the names
            if each["type"].startswith("int") and all(step in steps for step in place):
                return True
    return False


def test_bodies_ask_for_whole_numbers_at_all() -> None:
    places = {
        place for body in BODIES for place, _ in _whole_numbers(body.model_json_schema(), body.model_json_schema(), 5)
    }
    assert len(places) > 10
    assert {("settings", "chunk_size"), ("settings", "embedder", "batch_size"), ("source", "max_pages")} <= places


@together("body", BODIES, ids=lambda body: body.__name__)
def test_what_is_only_like_a_whole_number_is_refused_in_each_body(body: type[BaseModel]) -> None:
    schema = body.model_json_schema()
    for value in (100.0, True, "5"):
        for place, whole in _whole_numbers(schema, schema, value):
            assert _is_refused(body, place, whole), (place, value)
    for place, whole in _whole_numbers(schema, schema, 100):
        assert not _is_refused(body, place, whole), place


async def test_what_is_only_like_a_whole_number_is_refused_in_each_query(tmp_path: Path) -> None:
    async with serving(PhaseFlow(tmp_path / "kb.db")) as service:
        asked = 0
        for endpoint in ALL:
            path = re.sub(r"{\w+}", "x" * 32, endpoint.path)
            for name in endpoint.parameters.whole - set(endpoint.path_names) - endpoint.parameters.headers:
                for given in LIKE_ONE:
                    answer = await service.http.request(endpoint.method, f"{path}?{name}={quote(given)}")
                    assert answer.status_code in {400, 422}, (endpoint.path, name, given)
                    assert "must be a whole number" in answer.text
                    asked += 1
                answer = await service.http.request(endpoint.method, f"{path}?{name}=5")
                assert "must be a whole number" not in answer.text
        assert asked > 5 * len(LIKE_ONE)
