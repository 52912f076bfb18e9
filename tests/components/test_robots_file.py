"""robots.txt as RFC 9309 has it, and as large crawlers have published what they expect.

The facts of Google's own tests (github.com/google/robotstxt, Apache 2.0), written as a table of ours. Left out is what
holds for Google alone: a limit on the length of a line, and escapes that it does not undo (RFC 9309, 2.2.2, does).
"""

import time
from itertools import product

from phaseflow.components.sources.web.address import normalised
from phaseflow.components.sources.web.robots_file import MOST_WILD, RobotsFile
from tests.matrices import together
from tests.stopwatch import Stopwatch

SITE = "http://foo.bar"
ALL = "user-agent: FooBot\n"


@together(
    ("rules", "path", "allowed"),
    [
        ("", "/", True),
        ("foo: FooBot\nbar: /", "/", True),
        ("user-agent: FooBot\ndisallow: /", "/x/y", False),
        ("user-agent FooBot\ndisallow /", "/x/y", False),
        ("disallow: /\nallow: /x", "/", True),  # before any group
        ("user-agent: BarBot\nuser-agent: FooBot\ndisallow: /", "/", False),
        ("user-agent: FooBot\ndisallow: /a\nuser-agent: BarBot\ndisallow: /", "/b", True),
        ("USER-AGENT: FooBot\nALLOW: /x/\nDISALLOW: /", "/x/y", True),
        ("UsEr-AgEnT: FOObot\ndIsAlLoW: /", "/x", False),
        ("user-agent: Foo\ndisallow: /", "/x", True),
        ("user-agent: FooBot Bar\ndisallow: /", "/x", False),
        ("user-agent: FooBot/1.2\ndisallow: /", "/x", False),
        ("user-agent: *\ndisallow: /\nuser-agent: FooBot\ndisallow: /x", "/y", True),  # the own group stands alone
        ("user-agent: FooBot\nuser-agent: *\ndisallow: /x", "/x", False),
        ("user-agent: FooBot\ndisallow: /x\n\nuser-agent: FooBot\ndisallow: /y", "/y", False),  # two groups are one
        ("user-agent: *\ndisallow: /", "/x", False),
        ("user-agent: *\ndisallow:", "/x", True),
        (ALL + "disallow: /x/page.html\nallow: /x/", "/x/page.html", False),
        (ALL + "allow: /x/page.html\ndisallow: /x/", "/x/page.html", True),
        (ALL + "allow: /x/page.html\ndisallow: /x/", "/x/", False),
        (ALL + "disallow: \nallow: ", "/x", True),
        (ALL + "disallow: /\nallow: /", "/x", True),
        (ALL + "disallow: /x\nallow: /x/", "/x", False),
        (ALL + "disallow: /x\nallow: /x/", "/x/", True),
        (ALL + "disallow: /x/page.html\nallow: *.html", "/x/page.html", False),
        (ALL + "disallow: /x/page.html\nallow: *.html", "/x.html", True),
        (ALL + "disallow: /X/", "/x/y", True),
        (ALL + "disallow: /\nallow: /a?q=t&b=http://foo.bar?tar&par", "/a?q=t&b=http://foo.bar?tar&par", True),
        (ALL + "disallow: /\nallow: /foo/bar/\u30c4", "/foo/bar/%E3%83%84", True),
        (ALL + "disallow: /\nallow: /foo/bar/%e3%83%84", "/foo/bar/\u30c4", True),
        (ALL + "disallow: /\nallow: /foo/bar/%62%61%7A", "/foo/bar/baz", True),  # RFC 9309, unlike Google
        (ALL + "disallow: /foo/bar/quz\nallow: /foo/*/qux", "/foo/bar/quz", False),
        (ALL + "disallow: /foo/bar$\nallow: /foo/bar/qux", "/foo/bar", False),
        (ALL + "disallow: /foo/bar$\nallow: /foo/bar/qux", "/foo/bar/baz", True),
        (ALL + "# disallow: /\ndisallow: /foo # allow: /", "/foo", False),
        (ALL + "allow: /allowed/index.html\ndisallow: /", "/allowed/", True),
        (ALL + "allow: /allowed/index.html\ndisallow: /", "/allowed/index.htm", False),
        (ALL + "disallow: *", "/x", False),
        (ALL + "disallow: x", "/x", True),
        (ALL + "disallow: /a*b*c$", "/a-b-c-c", False),
        (ALL + "disallow: /a*b*c$", "/a-c-b", True),
        (ALL + "disallow: /ab*b$", "/ab", True),
        (ALL + "disallow: /*/b", "/a/b/c", False),
        (ALL + "dissallow: /", "/x", False),
        ("user agent: FooBot\ndisallow: /", "/x", False),
        (ALL + "disallow: /x\rdisallow: /y\r\ndisallow: /z", "/y", False),
    ],
)  # fmt: skip
def test_the_longest_rule_of_the_own_group_decides(rules: str, path: str, allowed: bool) -> None:
    file = RobotsFile(rules, "foobot")
    assert file.allows(SITE + path) == allowed
    assert file.allows(normalised(SITE + path) or "") == allowed


BETWEEN = ["# hello", "", f"Sitemap: {SITE}/s.xml", "Content-Signal: ai-train=no", "Host: foo.bar", "Noindex: /x"]
BETWEEN += ["Crawl-delay: 5"]


@together(("line", "other"), product(BETWEEN, ["*", "otherbot"]))
def test_a_line_that_is_no_rule_splits_no_group(line: str, other: str) -> None:
    file = RobotsFile(f"User-agent: phaseflow\n{line}\nUser-agent: {other}\nDisallow: /\n", "phaseflow")
    assert not file.allows(f"{SITE}/x")


def test_sitemaps_and_delays_are_read_wherever_they_stand() -> None:
    text = "Sitemap: /a.xml\nuser-agent: *\ncrawl-delay: 9\nuser-agent: me\ncrawl-delay: 2.5\nsite-map: /b.xml\n"
    file = RobotsFile(text, "me")
    assert (file.sitemaps, file.delay_s) == (["/a.xml", "/b.xml"], 2.5)
    assert RobotsFile("user-agent: *\ncrawl-delay: soon", "me").delay_s is None


@together(
    "text",
    [
        ALL + "disallow: /" + "*a" * 100_000 + "$\n",
        ALL + "".join(f"disallow: /*{n}a*b$\n" for n in range(20_000)),
        ALL + "".join(f"disallow: /{n}\n" for n in range(40_000)),
        ALL + "disallow: /" + "%2" * 200_000,
        "user-agent:" + " " * 500_000,
        ":" * 500_000,
    ],
)
def test_no_file_takes_long(text: str) -> None:
    watch = Stopwatch(time.process_time)
    file = RobotsFile(text[: 512 * 1024], "foobot")
    for _ in range(20):
        file.allows(SITE + "/" + "a" * 3900)
    assert watch.within(3)
    assert MOST_WILD == 1000
