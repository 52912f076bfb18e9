"""The tools as the SDK takes them: with hints, and taking only what their schemas say. Imports the SDK."""

import json
from collections.abc import Awaitable, Callable
from functools import wraps
from inspect import getdoc
from typing import Any, ParamSpec, TypeVar

from mcp.server.mcpserver.context import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.tools import Tool
from mcp.server.mcpserver.utilities.func_metadata import FuncMetadata
from mcp.types import ToolAnnotations
from pydantic import ValidationError

from phaseflow.domain.errors import InvalidRequest, PhaseflowError
from phaseflow.domain.validation import first_fault
from phaseflow.flow.inputs import foreign_cursor
from phaseflow.mcp.tools import Tools

P = ParamSpec("P")
T = TypeVar("T")
# (read only, destructive, idempotent)
_HINTS = {
    "search": (True, False, True),
    "list_knowledge_bases": (True, False, True),
    "get_document": (True, False, True),
    "status": (True, False, True),
    "add_documents": (False, True, True),
    "start": (False, True, False),
    "pause": (False, False, True),
    "resume": (False, False, True),
    "retry": (False, False, True),
    "cancel": (False, True, True),
}


class _StrictArguments(FuncMetadata):
    """The SDK's own takes "yes" for true and "3" for 3, and reads JSON out of texts."""

    def validate_arguments(self, arguments_to_validate: dict[str, Any]) -> dict[str, Any]:
        """The arguments, of the kinds that the schema says, as a body is read over HTTP. Raises ValidationError."""
        written = json.dumps(arguments_to_validate)
        return self.arg_model.model_validate_json(written, strict=True).model_dump_one_level()


class _CheckedTool(Tool):
    """The SDK's own drops what it does not know, and answers faults as pydantic tells them to programmers."""

    def model_post_init(self, context: Any) -> None:
        """Forbid unknown arguments, also in the schema that clients are shown."""
        model = self.fn_metadata.arg_model
        model.model_config = {**model.model_config, "extra": "forbid"}
        model.model_rebuild(force=True)
        self.parameters = model.model_json_schema(by_alias=True)
        known = self.fn_metadata
        self.fn_metadata = _StrictArguments(
            arg_model=model,
            output_schema=known.output_schema,
            output_model=known.output_model,
            wrap_output=known.wrap_output,
        )

    async def run(self, arguments: dict[str, Any], context: Context[Any, Any], convert_result: bool = False) -> Any:
        """Raises ToolError, before anything is done, for arguments that cannot be used."""
        try:
            self.fn_metadata.validate_arguments(arguments)
        except ValidationError as error:
            fault = first_fault(error)
            refused = foreign_cursor() if fault.place == "cursor" else InvalidRequest(fault.place, fault.problem)
            raise ToolError(f"{refused.code}: {refused}") from error
        try:
            return await super().run(arguments, context, convert_result)
        except ToolError as error:
            if isinstance(error.__cause__, ToolError):
                raise error.__cause__ from error.__cause__.__cause__  # without the name that the SDK puts before it
            raise


def checked_tools(tools: Tools) -> list[Tool]:
    """All of them."""
    found: list[Tool] = []
    for name, (read_only, destructive, idempotent) in _HINTS.items():
        hints = ToolAnnotations(
            read_only_hint=read_only, destructive_hint=destructive, idempotent_hint=idempotent,
            open_world_hint=name == "start",
        )  # fmt: skip
        tool = getattr(tools, name)
        found.append(
            _CheckedTool.from_function(
                _told(tool), name=name, description=getdoc(tool), annotations=hints, structured_output=True
            )
        )
    return found


def _told(tool: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
    """Tell the model what was refused, and what to do instead; anything else is a fault of the server."""

    @wraps(tool)
    async def telling(*args: P.args, **options: P.kwargs) -> T:
        try:
            return await tool(*args, **options)
        except PhaseflowError as error:
            raise ToolError(f"{error.code}: {error}") from error

    return telling
