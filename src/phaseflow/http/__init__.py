"""The HTTP face: JSON endpoints, the live feed, the dashboard. ``create_app(flow)`` is served or mounted anywhere."""

from phaseflow.http.app import app_from_env, create_app
from phaseflow.http.limits import Limits
from phaseflow.http.roots import AllowedRoots
from phaseflow.http.server import Server, serve, server_for

__all__ = ["AllowedRoots", "Limits", "Server", "app_from_env", "create_app", "serve", "server_for"]
