"""What a command makes of the sources of a knowledge base."""

import pytest

from phaseflow.cli.kb_sources import with_source
from phaseflow.domain.errors import InvalidRequest
from phaseflow.domain.settings import SOURCE, FolderSource, UploadSource, WebSource
from tests.cli.commands import Shell

DOCS, WIKI = FolderSource("/a/docs"), FolderSource("/b/Team Wiki")


def web(*urls: str) -> WebSource:
    found = SOURCE.validate_python({"type": "web", "urls": urls})
    assert isinstance(found, WebSource)
    return found


def test_the_first_source_is_the_default_one() -> None:
    assert with_source({}, DOCS) == {"default": DOCS}
    assert with_source({"default": UploadSource()}, DOCS) == {"default": DOCS}


def test_another_one_is_added_under_a_name_of_its_own() -> None:
    site = web("https://docs.example/")
    found = with_source(with_source({"default": DOCS}, WIKI), site)
    assert found == {"default": DOCS, "team-wiki": WIKI, "docs-example": site}
    assert with_source(found, FolderSource("/c/team wiki"))["team-wiki-2"] == FolderSource("/c/team wiki")
    assert list(with_source({"default": DOCS}, FolderSource("/x/push"))) == ["default", "push-2"]
    assert list(with_source({"default": DOCS}, FolderSource("/"))) == ["default", "source"]


def test_the_same_one_stays_where_it_is_with_the_options_given_now() -> None:
    present = {"default": DOCS, "team-wiki": WIKI}
    assert with_source(present, WIKI) == present
    filtered = FolderSource(WIKI.path, include=("*.md",))
    assert with_source(present, filtered) == {"default": DOCS, "team-wiki": filtered}
    a, b = "https://a.example/", "https://b.example/"
    assert with_source({"default": web(a, b)}, web(b, a)) == {"default": web(b, a)}


def test_files_of_one_folder_are_read_beside_those_named_before() -> None:
    first, second = FolderSource("/a", include=("/one.md",)), FolderSource("/a", include=("/two.md",))
    assert with_source({"default": first}, second) == {"default": FolderSource("/a", include=("/one.md", "/two.md"))}


def test_ingest_adds_a_source_and_replace_makes_it_the_only_one(shell: Shell) -> None:
    shell.write("docs/a.md", "# A\n\nApples.\n")
    shell.write("wiki/b.md", "# B\n\nBananas.\n")
    for folder in ("docs", "wiki", "docs"):
        assert shell("ingest", folder, "--kb", "both").returncode == 0
    assert [item["uri"] for item in shell.answer("documents", "both")["items"]] == ["a.md", "wiki/b.md"]
    assert shell("ingest", "wiki", "--kb", "both", "--replace").returncode == 0
    assert [item["uri"] for item in shell.answer("documents", "both")["items"]] == ["b.md"]


def test_ingest_asks_before_it_takes_out_most_of_a_source_and_says_what_answers(shell: Shell) -> None:
    for number in range(12):
        shell.write(f"docs/{number}.md", f"# {number}\n\nText {number}.\n")
    assert shell("ingest", "docs", "--kb", "waf").returncode == 0
    for number in range(11):
        (shell.here / "docs" / f"{number}.md").unlink()
    for _ in range(2):  # the same command again is no answer
        asked = shell("ingest", "docs", "--kb", "waf")
        assert asked.returncode == 3
        assert "it would take out 11 of 12 documents of the source 'default'" in asked.stderr
        assert "phaseflow resume waf takes them out" in asked.stderr
    assert len(shell.answer("documents", "waf")["items"]) == 12
    assert shell("ingest", "docs", "--kb", "waf", "--allow-deletes").returncode == 0
    assert len(shell.answer("documents", "waf")["items"]) == 1


def test_a_file_of_a_folder_that_is_there_never_narrows_it() -> None:
    present = {"default": FolderSource("/a")}
    assert with_source(present, FolderSource("/a", include=("/two.md",))) == present
    assert with_source(present, FolderSource("/a/deep", include=("/two.md",))) == present
    some = FolderSource("/a", include=("*.txt",))
    assert with_source({"default": some}, FolderSource("/a", include=("/n.txt",))) == {"default": some}
    wider = FolderSource("/a", include=("*.txt", r"/of\ b/two.md"))
    assert with_source({"default": some}, FolderSource("/a/of b", include=("/two.md",))) == {"default": wider}


def test_a_pattern_of_ones_own_still_narrows_a_folder_that_is_there() -> None:
    narrow = FolderSource("/a", include=("/docs/**",))
    assert with_source({"default": FolderSource("/a")}, narrow) == {"default": narrow}


def test_a_file_that_a_folder_does_not_take_is_not_lost_in_it() -> None:
    hidden = FolderSource("/a/.deep", include=("/two.md",))
    assert with_source({"default": FolderSource("/a")}, hidden) == {"default": FolderSource("/a"), "deep": hidden}
    present = {"default": FolderSource("/a", exclude=("*.tmp",))}
    with pytest.raises(InvalidRequest, match=r"'b\.tmp' is left out by --exclude of the source /a"):
        with_source(present, FolderSource("/a", include=("/b.tmp",)))


@pytest.mark.thorough
def test_ingest_of_a_file_of_a_folder_that_is_there_deletes_nothing(shell: Shell) -> None:
    for name in ("n1.md", "n2.md", "deep/n3.md"):
        shell.write(f"notes/{name}", f"# {name}\n\nText of {name}.\n")
    for path in ("notes", "notes/n2.md", "notes/deep/n3.md"):
        assert shell("ingest", path, "--kb", "team").returncode == 0
        assert [item["uri"] for item in shell.answer("documents", "team")["items"]] == ["deep/n3.md", "n1.md", "n2.md"]


@pytest.mark.thorough
def test_a_source_that_is_away_holds_up_no_ingest_of_another(shell: Shell) -> None:
    for name in ("a", "b"):
        shell.write(f"{name}/{name}.md", f"Of {name}.")
        assert shell("ingest", name, "--kb", "k").returncode == 0
    (shell.here / "b").rename(shell.here / "away")
    shell.write("a/new.md", "Of news.")
    done = shell("ingest", "a", "--kb", "k")
    assert (done.returncode, "'b' could not be read" in done.stderr) == (0, True), done.stderr
    assert "new.md" in shell("search", "k", "news", "--json").stdout
    shell.write("c/c.md", "Of a third.")
    added = shell("ingest", "c", "--kb", "k")
    assert (added.returncode, "'b' could not be read" in added.stderr) == (0, True), added.stderr
    refused = shell("ingest", "b", "--kb", "k")
    assert (refused.returncode, "b" in refused.stderr) == (2, True), refused.stderr


def test_a_source_that_cannot_be_read_is_named_and_fails_the_command_that_named_it(shell: Shell) -> None:
    shell.write("docs/a.md", "# A\n\nApples.\n")
    shell.write("wiki/b.md", "# B\n\nBananas.\n")
    assert shell("ingest", "docs", "--kb", "both").returncode == 0
    nobody = "http://127.0.0.1:9/"
    site = shell("ingest", nobody, "--kb", "both", "--allow-private", "127.0.0.1")
    assert "the source '127-0-0-1' could not be read: " in site.stderr.splitlines()[-2], site.stderr
    assert site.returncode == 1
    other = shell("ingest", "wiki", "--kb", "both", "--allow-private", "127.0.0.1")
    assert "the source '127-0-0-1' could not be read: " in other.stderr.splitlines()[-2], other.stderr
    assert other.returncode == 0
