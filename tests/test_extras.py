"""What is optional: each extra is named by the error of whoever lacks it, and ``all`` has what the docs say."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
LEFT_OUT = {"ray"}
"""Large, and of use to clusters only; docs/DEPLOY.md says so."""
SILENT = {"otel"}
"""Without it there are no spans, and nothing to say."""
_PROGRAM = """
import asyncio, sys
for name in {blocked!r}:
    sys.modules[name] = None
from phaseflow import PhaseFlow
from phaseflow.components.extraction import extract

async def follow(job):
    status = await job.wait_until_idle()
    print(status.error or status.message)
"""
_ATTEMPT = """
async def attempt():
    async with PhaseFlow("{extra}.db", **{options!r}) as flow:
        {attempt}

print("{extra}:", end=" ")
try:
    asyncio.run(attempt())
except Exception as error:
    print(f"{{error.code}}: {{error}}")
"""
POSTGRES: dict[str, object] = {"index_servers": {"main": "postgresql://u:p@127.0.0.1:9/x"}}
CASES: dict[str, tuple[list[str], dict[str, object], str]] = {
    "pdf": (["pypdfium2"], {}, "extract(b'%PDF-1.4', 'a.pdf')"),
    "sheets": (["python_calamine"], {}, "extract(b'PK', 'a.xls')"),
    "fsspec": (["fsspec", "s3fs"], {}, "await flow.start('n', {'type': 'fsspec', 'url': 's3://bucket/docs'})"),
    "git": (["dulwich"], {}, "await flow.start('n', {'type': 'git', 'url': 'https://example.org/docs.git'})"),
    "ocr": (["rapidocr"], {}, "await follow(await flow.start('n', '.', settings={'ocr': {'languages': ['en']}}))"),
    "mcp": (["mcp", "mcp.server"], {}, "from phaseflow.mcp.server import make_server; make_server(None)"),
    "postgres": (
        ["psycopg"],
        POSTGRES,
        "await follow(await flow.start('n', '.', settings={'index': {'type': 'postgres', 'server': 'main'}}))",
    ),
    "langchain": (["langchain_core"], {}, "import phaseflow.integrations.langchain"),
    "llamaindex": (["llama_index"], {}, "import phaseflow.integrations.llamaindex"),
    "haystack": (["haystack"], {}, "import phaseflow.integrations.haystack"),
    "ray": (["ray"], {"workers": "ray"}, "pass"),
}
"""What is missing, the options of the engine, and what is attempted."""


def _extras() -> dict[str, list[str]]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        found: dict[str, list[str]] = tomllib.load(file)["project"]["optional-dependencies"]
    return found


def test_all_brings_every_extra_but_those_that_the_docs_leave_out() -> None:
    extras = _extras()
    (brought,) = extras.pop("all")
    names = re.fullmatch(r"phaseflow\[(.+)\]", brought)
    assert names
    assert set(names[1].split(",")) == set(extras) - LEFT_OUT
    page = (ROOT / "docs" / "DEPLOY.md").read_text(encoding="utf-8")
    for name in extras:
        assert f"| `{name}` |" in page
    for name in LEFT_OUT:
        assert re.search(rf"`all` leaves out `{name}`", page)


def test_each_extra_has_its_case() -> None:
    assert set(CASES) | SILENT | {"all"} == set(_extras())


def test_whoever_lacks_an_extra_is_told_its_name(tmp_path: Path) -> None:
    """In one process that lacks them all: to start one takes longer than any attempt."""
    (tmp_path / "a.md").write_text("Whales sing.", encoding="utf-8")
    program = _PROGRAM.format(blocked=[name for blocked, _, _ in CASES.values() for name in blocked])
    for extra, (_, options, attempt) in CASES.items():
        program += _ATTEMPT.format(extra=extra, options=options, attempt=attempt)
    words = [sys.executable, "-c", program]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=100)
    told = dict(line.split(": ", 1) for line in done.stdout.splitlines() if ": " in line)
    assert told.keys() == CASES.keys(), done.stdout + done.stderr
    assert told["ocr"].startswith("invalid_request: settings.ocr: "), told
    assert [extra for extra, said in told.items() if f"pip install 'phaseflow[{extra}]'" not in said] == [], told
