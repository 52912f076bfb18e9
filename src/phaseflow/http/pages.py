"""The dashboard: its page at ``/``, its files under ``/static``. They are public and hold no data."""

from importlib import resources
from pathlib import Path

from starlette.responses import FileResponse, Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from phaseflow.http.endpoint import Endpoint, Parameters, RequestContext

_CACHE = "no-cache"
"""Browsers keep the files, and ask each time whether they are still the same (by their ETag)."""

_SCRIPT = "text/javascript"


def _folder() -> Path:
    """Where the files of the dashboard are."""
    return Path(str(resources.files("phaseflow.http") / "dashboard"))


async def _page(call: RequestContext[Parameters, None]) -> Response:
    return FileResponse(_folder() / "index.html", headers={"Cache-Control": _CACHE}, media_type="text/html")


class _Files(StaticFiles):
    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.setdefault("Cache-Control", _CACHE)
        return response


async def _feed(call: RequestContext[Parameters, None]) -> Response:
    return FileResponse(_folder() / "feed.js", headers={"Cache-Control": _CACHE}, media_type=_SCRIPT)


def static() -> Mount:
    """The route of the files."""
    return Mount("/static", _Files(directory=_folder()), name="static")


ENDPOINTS = [
    Endpoint("GET", "/", "The dashboard", _page, {200: "text/html"}, public=True),
    Endpoint("GET", "/feed.js", "The module that reads the live feed in a page", _feed, {200: _SCRIPT}, public=True),
]
