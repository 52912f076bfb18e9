"""Makes the picture of the dashboard: ``python -m tests.dashboard.picture docs/dashboard.png``.

A real server, real jobs in every status, and the page as a browser shows it. Needs Chromium and playwright.
"""

import argparse
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from tests.cli.embedding_server import EmbeddingServer
from tests.dashboard.board import Board
from tests.dashboard.browser import absence, chromium
from tests.dashboard.service import Service, write_documents

if TYPE_CHECKING:
    from playwright.async_api import Route

MAIN = "architecture-guide"
ANSWER_S = 0.6
PAUSE_S = 2
FIRST_PART = 20
WHOLE = 45
FOLDERS = {"handbook": "handbook", "release-notes": "notes", "support-mail": "mail", "wiki": "notes"}
RUNS: dict[str, tuple[dict[str, Any], str]] = {
    "handbook": ({}, "completed"),
    "release-notes": ({"hold": ["embedding"]}, "paused"),
    "support-mail": ({}, "failed"),
}
SHOWN_FOLDER = "/srv/docs"
"""Stands in the picture for the temporary folder, which has another name each time."""


class SlowServer(EmbeddingServer):
    """An embedding server that takes its time."""

    def answer(self, texts: list[str]) -> dict[str, Any]:
        time.sleep(ANSWER_S)
        return super().answer(texts)


def prepare(service: Service) -> None:
    """Knowledge bases whose jobs are over, held, or have never run."""
    write_documents(service.here / "guide", 240, paragraphs=18)
    write_documents(service.here / "handbook", 64)
    write_documents(service.here / "notes", 40)
    mail = service.here / "mail"
    mail.mkdir()
    for number in range(12):
        (mail / f"{number}.pdf").write_bytes(b"%PDF-1.4 and nothing more")
    for kb_id, folder in FOLDERS.items():
        service.put(kb_id, folder)
    for kb_id, (order, status) in RUNS.items():
        service.call("POST", f"kb/{kb_id}/start", order)
        service.until(kb_id, partial(_is, status))


def run_and_pause(service: Service, server: EmbeddingServer) -> None:
    """A job whose embedding was paused for a while and goes on."""
    service.put(MAIN, "guide", {"type": "openai", "base_url": server.options[3], "model": "e5"})
    service.call("POST", f"kb/{MAIN}/start", {})
    service.until(MAIN, lambda job: job["phase_details"][2]["progress"] >= FIRST_PART, 40)
    service.call("POST", f"kb/{MAIN}/phases/embedding/pause")
    service.until(MAIN, lambda job: job["phase_details"][2]["status"] == "paused")
    time.sleep(PAUSE_S)
    service.call("POST", f"kb/{MAIN}/phases/embedding/resume")
    service.until(MAIN, lambda job: job["phase_details"][2]["progress"] >= WHOLE, 60)


def _is(status: str, job: dict[str, Any]) -> bool:
    return bool(job["status"] == status)


async def _rename(folder: str, route: "Route") -> None:
    answer = await route.fetch()
    await route.fulfill(response=answer, body=(await answer.text()).replace(folder, SHOWN_FOLDER))


async def take(service: Service, server: EmbeddingServer, path: Path, colours: str) -> None:
    """Write the picture of the running job."""
    window = {"viewport": {"width": 1240, "height": 960}, "device_scale_factor": 1.5, "color_scheme": colours}
    async with chromium() as browser, Board.opened(browser, service.url, **window) as board:
        await anyio.to_thread.run_sync(run_and_pause, service, server)
        await board.page.route("**/api/ingestion/kb*", partial(_rename, str(service.here.resolve())))
        await board.page.route("**/api/ingestion/kb/*", partial(_rename, str(service.here.resolve())))
        await board.go(f"kb/{MAIN}")
        await board.until(board.page.locator(".connection"), "Live")
        await board.until(board.phase("embedding"), "/s")
        await board.page.screenshot(path=path)
    service.until(MAIN, partial(_is, "completed"), 60)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--dark", action="store_true")
    options = parser.parse_args()
    reason = absence()
    if reason:
        parser.error(f"{reason}; see docs/DASHBOARD.md")
    with tempfile.TemporaryDirectory() as folder, SlowServer() as server, Service(Path(folder)) as service:
        server.gate.set()
        prepare(service)
        anyio.run(take, service, server, options.path, "dark" if options.dark else "light")


if __name__ == "__main__":
    main()
