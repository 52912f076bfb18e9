"""A tool that takes no argument it does not know, and says of others in our words what is wrong. Needs the SDK."""

from typing import Any

from mcp.server.mcpserver.context import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.tools import Tool
from pydantic import ValidationError

from phaseflow.domain.errors import InvalidRequest
from phaseflow.domain.validation import first_fault


class CheckedTool(Tool):
    """The SDK's own drops what it does not know, and answers faults as pydantic tells them to programmers."""

    def model_post_init(self, context: Any) -> None:
        """Forbid unknown arguments, also in the schema that clients are shown."""
        model = self.fn_metadata.arg_model
        model.model_config = {**model.model_config, "extra": "forbid"}
        model.model_rebuild(force=True)
        self.parameters = model.model_json_schema(by_alias=True)

    async def run(self, arguments: dict[str, Any], context: Context[Any, Any], convert_result: bool = False) -> Any:
        """Raises ToolError, before anything is done, for arguments that cannot be used."""
        try:
            self.fn_metadata.validate_arguments(arguments)
        except ValidationError as error:
            fault = first_fault(error)
            refused = InvalidRequest(fault.place, fault.problem)
            raise ToolError(f"{refused.code}: {refused}") from error
        try:
            return await super().run(arguments, context, convert_result)
        except ToolError as error:
            if isinstance(error.__cause__, ToolError):
                raise error.__cause__ from error.__cause__.__cause__  # without the name that the SDK puts before it
            raise
