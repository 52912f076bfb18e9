"""A real nginx before the service, set up as the deployment's configuration says, on a port of this machine."""

import re
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Self

from tests.ports import free_port
from tests.stopwatch import patience

CONFIGURATION = Path(__file__).parents[2] / "deploy" / "nginx.conf"
START_S = 10
STOP_S = 10
PATHS = ("/usr/sbin/nginx", "/usr/local/sbin/nginx", "/opt/homebrew/bin/nginx")
"""Where it is on machines whose users do not have it in their PATH."""


def absence() -> str | None:
    """Why there is none here; None when there is one."""
    return None if _program() else "nginx is not installed"


class Nginx:
    """Runs for the length of a ``with`` block, with all its files in one folder."""

    def __init__(self, here: Path, upstream: int) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._here = here
        self._upstream = upstream
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        configuration = self._here / "nginx.conf"
        configuration.write_text(self._configured(), encoding="utf-8")
        words = [str(_program()), "-p", str(self._here), "-c", str(configuration), "-e", str(self._here / "nginx.log")]
        self._process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + patience(START_S)
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            assert time.monotonic() < end, (self._here / "nginx.log").read_text(encoding="utf-8")
            time.sleep(0.02)

    def __exit__(self, *exc_info: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(patience(STOP_S))

    def _configured(self) -> str:
        """What a user gets, but for the name, the certificate and the two addresses."""
        server = re.sub(r"^ *ssl_certificate.*\n", "", CONFIGURATION.read_text(encoding="utf-8"), flags=re.MULTILINE)
        for there, here in (
            ("listen 443 ssl;", f"listen 127.0.0.1:{self.port};"),
            ("${KB_HOST}", "127.0.0.1"),
            ("http://phaseflow:8000", f"http://127.0.0.1:{self._upstream}"),
        ):
            assert there in server
            server = server.replace(there, here)
        folders = "".join(
            f"{kind}_temp_path {self._here}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        own = f"daemon off; worker_processes 1; pid {self._here}/nginx.pid;\nevents {{}}\n"
        return f"{own}http {{\naccess_log off;\n{folders}{server}}}\n"


def _program() -> str | None:
    return next((found for found in map(shutil.which, ("nginx", *PATHS)) if found), None)
