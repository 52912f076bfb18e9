"""The server of the protocol, by the official SDK, which is imported when this is called."""

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from phaseflow.domain.errors import (
    DocumentNotFound,
    InvalidRequest,
    KnowledgeBaseNotFound,
    MissingExtra,
    PhaseflowError,
)
from phaseflow.mcp.backend import Backend
from phaseflow.mcp.following import REPORT
from phaseflow.mcp.resources import DESCRIPTION, MEDIA_TYPE, TEMPLATE, Resources, check_query
from phaseflow.mcp.tools import DATA_NOTE, LONGEST_EXTRACT, Tools

if TYPE_CHECKING:
    from mcp.server import MCPServer
    from mcp.server.context import CallNext, HandlerResult, ServerRequestContext

_INSTRUCTIONS = (
    "Search and fill knowledge bases: collections of documents that phaseflow ingests in four phases (loading,"
    " chunking, embedding, indexing). Look with list_knowledge_bases, answer from search, and cite the uri of each"
    f" passage. {DATA_NOTE}"
)


def make_server(backend: Backend) -> "MCPServer":
    """A server with all tools and the documents as resources. Raises MissingExtra when the SDK is not installed."""
    try:
        from mcp.server import MCPServer
    except ImportError as error:
        raise MissingExtra("the Model Context Protocol", "mcp") from error
    from phaseflow.mcp.checked_tools import checked_tools

    tools = Tools(backend)
    resources = Resources(backend, tools)
    server = MCPServer(
        "phaseflow",
        instructions=_INSTRUCTIONS,
        version=version("phaseflow"),
        tools=checked_tools(tools),
        middleware=[_refuse_prompts, _check_address, _Listing(resources), _report_progress],
    )
    _add_documents(server, resources)
    return server


def _add_documents(server: "MCPServer", resources: Resources) -> None:
    from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError
    from mcp.types import Annotations

    async def document(kb_id: str, id: str, start: str = "0", limit: str = str(LONGEST_EXTRACT)) -> str:
        try:
            return (await resources.read(kb_id, id, start, limit)).model_dump_json()
        except (DocumentNotFound, InvalidRequest, KnowledgeBaseNotFound) as error:
            raise ResourceNotFoundError(f"{error.code}: {error}") from error
        except PhaseflowError as error:
            raise ResourceError(f"{error.code}: {error}") from error

    server.resource(
        TEMPLATE, name="document", title="Document", description=f"{DESCRIPTION} {DATA_NOTE}", mime_type=MEDIA_TYPE,
        annotations=Annotations(audience=["assistant"]),
    )(document)  # fmt: skip


class _Listing:
    """Pages of documents, where the SDK would list all resources in one answer."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    async def __call__(self, ctx: "ServerRequestContext[Any, Any]", call_next: "CallNext") -> "HandlerResult":
        answer = await call_next(ctx)
        if ctx.method != "resources/list" or not isinstance(answer, dict):
            return answer
        from mcp.shared.exceptions import MCPError
        from mcp.types import INVALID_PARAMS, Annotations, Resource

        try:
            found, cursor = await self._resources.page((ctx.params or {}).get("cursor"))
        except PhaseflowError as error:
            raise MCPError(INVALID_PARAMS, f"{error.code}: {error}") from error
        listed = [
            Resource(
                uri=uri, name=document.uri, title=document.title or None, mime_type=MEDIA_TYPE,
                annotations=Annotations(audience=["assistant"], last_modified=document.updated_at.isoformat()),
            )
            for uri, document in found
        ]  # fmt: skip
        answer["resources"] = [one.model_dump(by_alias=True, mode="json", exclude_none=True) for one in listed]
        if cursor is not None:
            answer["nextCursor"] = cursor
        return answer


async def _refuse_prompts(ctx: "ServerRequestContext[Any, Any]", call_next: "CallNext") -> "HandlerResult":
    """There are none, which the SDK would take for a fault of the server, and log as one."""
    if ctx.method == "prompts/get":
        from mcp.shared.exceptions import MCPError
        from mcp.types import INVALID_PARAMS

        raise MCPError(INVALID_PARAMS, "this server has no prompts; tools/list names what it does")
    return await call_next(ctx)


async def _check_address(ctx: "ServerRequestContext[Any, Any]", call_next: "CallNext") -> "HandlerResult":
    """Refuse parameters of a resource's address that are not known, as those of a tool are; the SDK ignores them."""
    uri = (ctx.params or {}).get("uri")
    if ctx.method == "resources/read" and isinstance(uri, str):
        try:
            check_query(uri)
        except InvalidRequest as error:
            from mcp.shared.exceptions import MCPError
            from mcp.types import INVALID_PARAMS

            raise MCPError(INVALID_PARAMS, f"{error.code}: {error}") from error
    return await call_next(ctx)


async def _report_progress(ctx: "ServerRequestContext[Any, Any]", call_next: "CallNext") -> "HandlerResult":
    """Let the tools know whether the client has asked for progress."""
    token = REPORT.set(ctx.session.report_progress if (ctx.meta or {}).get("progress_token") is not None else None)
    try:
        return await call_next(ctx)
    finally:
        REPORT.reset(token)
