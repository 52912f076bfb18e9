"""The files around the code: each names what there is, and only that. No image is built here."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest

from phaseflow.cli import main
from phaseflow.flow import PhaseFlow
from phaseflow.http.metrics import Metrics

ROOT = Path(__file__).parents[2]
yaml = pytest.importorskip("yaml", reason="comes with schemathesis")


def _text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def _instructions(name: str = "Dockerfile") -> list[tuple[str, str]]:
    lines = re.sub(r"\\\n\s*", " ", _text(name)).splitlines()
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in lines if line and not line.startswith("#")]


def _of(name: str) -> list[str]:
    return [rest for kind, rest in _instructions() if kind == name]


def _options_exist(words: list[str]) -> bool:
    known = {
        flag for option in main.commands["serve"].params if isinstance(option, click.Option) for flag in option.opts
    }
    return words[0] == "serve" and all(word in known for word in words if word.startswith("--"))


def test_the_image_copies_what_is_there_and_lets_it_through_the_ignore_file() -> None:
    let_through = {line[1:] for line in _text(".dockerignore").splitlines() if line.startswith("!")}
    for copied in _of("COPY"):
        if copied.startswith("--from"):
            continue
        for name in copied.split()[:-1]:
            assert (ROOT / name).exists(), name
            assert name.removeprefix("./") in let_through, name


def test_the_image_is_not_root_has_one_volume_and_a_health_check() -> None:
    last_stage = [kind for kind, _ in _instructions()][::-1]
    assert last_stage.index("USER") < last_stage.index("FROM")
    assert (_of("USER"), _of("VOLUME"), len(_of("HEALTHCHECK"))) == (["phaseflow"], ["/data"], 1)
    check = json.loads(_of("HEALTHCHECK")[0].partition("CMD ")[2])
    compile(check[2], "health check", "exec")
    assert "/healthz" in check[2]


def test_the_command_of_the_image_is_one_that_there_is() -> None:
    assert json.loads(_of("ENTRYPOINT")[0]) == ["phaseflow"]
    assert _options_exist(json.loads(_of("CMD")[0]))


def test_the_image_installs_extras_that_there_are() -> None:
    extras = re.search(r"'\.\[(.*)\]'", _of("RUN")[0])
    assert extras is not None
    for extra in extras[1].split(","):
        assert re.search(rf"^{extra} = \[", _text("pyproject.toml"), flags=re.MULTILINE), extra


def test_compose_runs_the_service_and_nginx_only_on_request() -> None:
    services = yaml.safe_load(_text("compose.yaml"))["services"]
    assert _options_exist(services["phaseflow"]["command"])
    assert services["nginx"]["profiles"] == ["nginx"]
    assert services["postgres"]["profiles"] == ["postgres"]
    for mounted in [*services["phaseflow"]["volumes"], *services["nginx"]["volumes"]]:
        source = mounted.split(":")[0]
        if source.startswith("./deploy"):
            assert (ROOT / source).exists(), source


def test_the_configuration_of_nginx_is_the_one_of_the_page() -> None:
    page = re.search(r"```nginx\n(.*?)```", _text("docs/DEPLOY.md"), flags=re.DOTALL)
    assert page is not None

    def directives(text: str) -> set[str]:
        lines = (line.split("#")[0].strip() for line in text.splitlines())
        return {line for line in lines if line.startswith(("proxy_", "client_max")) and "proxy_pass" not in line}

    assert directives(_text("deploy/nginx.conf")) == directives(page[1])


async def test_the_dashboard_asks_for_metrics_that_there_are(tmp_path: Path) -> None:
    metrics = Metrics()
    metrics.record("GET", "/", 200, 0.1)
    async with PhaseFlow(tmp_path / "kb.db") as flow:
        text = (await metrics.render(flow, 0)).decode()
    there_are = {f"{name}{end}" for name in re.findall(r"^# TYPE (\S+)", text, re.MULTILINE) for end in _ENDS}
    dashboard: dict[str, Any] = json.loads(_text("deploy/grafana-dashboard.json"))
    asked = " ".join(target["expr"] for panel in dashboard["panels"] for target in panel["targets"])
    named = set(re.findall(r"phaseflow_\w+", asked))
    assert named <= there_are
    assert {"phaseflow_jobs", "phaseflow_items_total", "phaseflow_http_request_seconds_bucket"} <= named


_ENDS = ("", "_total", "_bucket", "_count", "_sum")


def test_the_page_for_models_links_to_files_that_there_are() -> None:
    text = _text("llms.txt")
    assert text.startswith("# phaseflow\n\n> ")
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
    assert {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")} <= set(links)


def test_the_workflow_runs_what_everybody_runs() -> None:
    (job,) = yaml.safe_load(_text(".github/workflows/ci.yml"))["jobs"].values()
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]
    lowest = re.search(r'requires-python = ">=([\d.]+)"', _text("pyproject.toml"))
    assert lowest is not None
    assert job["strategy"]["matrix"]["python"][0] == lowest[1]


def test_the_unit_of_the_page_starts_a_command_that_there_is() -> None:
    unit = re.search(r"```ini\n(.*?)```", _text("docs/DEPLOY.md"), flags=re.DOTALL)
    assert unit is not None
    started = re.search(r"^ExecStart=\S+/phaseflow (.*)$", unit[1], flags=re.MULTILINE)
    assert started is not None
    assert _options_exist(shlex.split(started[1]))
