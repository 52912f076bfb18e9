"""The conformance suite of the protocol, against a service that has the tools and resources that the suite calls.

They are added beside those of the service: route, transports, middleware and admission are the service's own. What is
not offered stands with its reason in ``conformance.yml``; the suite fails for any other, and where one of those passes.
"""

import base64
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from tests.stopwatch import fail_soon

pytest.importorskip("mcp", reason="needs the development group: mcp")

from mcp.server.mcpserver import Context, Image
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import AudioContent, EmbeddedResource, ImageContent, TextContent, TextResourceContents

from phaseflow.flow import PhaseFlow
from phaseflow.mcp.server import make_server
from tests.http.service import serving

if TYPE_CHECKING:
    from mcp.server import MCPServer

pytestmark = pytest.mark.adapters

ROOT = Path(__file__).parents[2]
PROGRAMS = ROOT / "build" / "conformance" / "node_modules" / ".bin"
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)
SILENCE = base64.b64encode(b"RIFF$\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0@\x1f\0\0@\x1f\0\0\1\0\x08\0data\0\0\0\0").decode()
WITHIN_S = 120


def equip(server: "MCPServer") -> None:
    """What the suite calls, by the names that it gives."""

    def embedded(uri: str) -> EmbeddedResource:
        return EmbeddedResource(resource=TextResourceContents(uri=uri, mime_type="text/plain", text="embedded"))

    def image() -> ImageContent:
        return Image(data=PIXEL, format="png").to_image_content()

    async def with_progress(ctx: Context[Any, Any]) -> str:
        for part in (0, 50, 100):
            await ctx.report_progress(part, 100)
        return "done"

    def failing() -> str:
        raise ToolError("this tool fails")

    tools: dict[str, Any] = {
        "test_simple_text": lambda: "This is a simple text response for testing.",
        "test_image_content": lambda: [image()],
        "test_audio_content": lambda: [AudioContent(data=SILENCE, mime_type="audio/wav")],
        "test_embedded_resource": lambda: [embedded("test://embedded-resource")],
        "test_multiple_content_types": lambda: [
            TextContent(text="some text"), image(), embedded("test://mixed-content-resource"),
        ],
        "test_error_handling": failing,
        "test_tool_with_progress": with_progress,
    }  # fmt: skip
    for name, tool in tools.items():
        server.add_tool(tool, name=name, description=f"{name} of the suite", structured_output=False)
    server.resource("test://static-text", name="text", mime_type="text/plain")(lambda: "static text")
    server.resource("test://static-binary", name="binary", mime_type="image/png")(lambda: PIXEL)

    @server.resource("test://template/{id}/data", mime_type="application/json")
    def data(id: str) -> str:
        return f'{{"id": "{id}"}}'


async def test_the_service_conforms_to_the_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not (PROGRAMS / "conformance").exists():
        pytest.skip("needs the conformance suite, which ./tasks adapters installs where there is npm")

    def equipped(backend: Any) -> "MCPServer":
        server = make_server(backend)
        equip(server)
        return server

    monkeypatch.setattr("phaseflow.http.agents.make_server", equipped)
    async with serving(PhaseFlow(tmp_path / "kb.db")) as service:
        with fail_soon(WITHIN_S):
            ran = await anyio.run_process(
                [
                    str(PROGRAMS / "node"), str(PROGRAMS / "conformance"), "server", "--url", f"{service.url}/mcp",
                    "--expected-failures", str(Path(__file__).with_name("conformance.yml")),
                ],
                check=False, cwd=tmp_path, stderr=subprocess.STDOUT,
            )  # fmt: skip
    told = ran.stdout.decode()
    assert ran.returncode == 0, told[-4000:]
    passed = set(re.findall(r"✓ ([\w-]+): [1-9]\d* passed", told))
    assert {"server-initialize", "tools-list", "tools-call-with-progress", "resources-list", "ping"} <= passed
