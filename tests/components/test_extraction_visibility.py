"""What a reader can unfold is text; what nobody sees is not; a page that only scripts fill is not an empty one."""

import pytest

from phaseflow.components.extraction import extract
from phaseflow.domain.errors import DocumentError
from tests.matrices import together


def text(page: str) -> str:
    return " ".join(extract(page.encode(), "a.html").text.split())


@together(
    "page",
    [
        "<h3><button aria-controls=p aria-expanded=false>head</button></h3><div id=p hidden>folded</div>",
        "<h3><button aria-controls=p>head</button></h3><div id=p style='display:none'>folded</div>",
        "<h3><button aria-controls=p>head</button></h3><div id=p aria-hidden=true>folded</div>",
        "<div><button aria-controls='p q'>head</button></div><div id=q hidden>folded</div>",
        "<div><button data-bs-target='#p'>head</button></div><div id=p hidden>folded</div>",
        "<div><button aria-expanded=false>head</button></div><div hidden>folded</div>",
        "<div><button aria-expanded=false>head</button><div hidden>folded</div></div>",
        "<div role=tablist><button role=tab>head</button></div><div role=tabpanel hidden>folded</div>",
        "<ul role=tablist><li><a role=tab href='#p'>head</a></ul><div id=p hidden>folded</div>",
        "<p>head</p><div hidden=until-found>folded</div>",
        "<details><summary>head</summary>folded</details>",
        "<p>head</p><dialog open>folded</dialog>",
        "<div><button commandfor=d>head</button></div><dialog id=d>folded</dialog>",
        "<p onclick=\"show('p')\">head</p><div id=p style='display:none'>folded</div>",
        "<p onclick=\"$('#p').toggle()\">head</p><div id=p hidden>folded</div>",
        "<p>head</p><div role=tooltip hidden>folded</div>",
        "<div class='slide a'>head</div><div class='slide b' aria-hidden=true>folded</div>",
    ],
)
def test_what_a_reader_can_unfold_is_text(page: str) -> None:
    assert text(page).replace("- ", "").replace("### ", "") == "head folded"


@together(
    "page",
    [
        "<p>seen<div hidden>no</div>",
        "<p>seen<div id=p hidden>no</div><button>x</button>",
        "<p>seen<dialog>no</dialog>",
        "<p>seen</p><button aria-controls=m aria-haspopup=menu>no</button><div id=m hidden>no</div>",
        "<p>seen</p><input aria-controls=l role=combobox><ul id=l hidden><li>no</ul>",
        "<p>seen</p><div><button>no</button><button>no</button></div>",
        "<p>seen</p><template>no</template>",
        "<p>seen</p><div class=modal aria-hidden=true>no</div><div class=modal aria-hidden=true>no</div>",
        "<p><i class=x>seen</i><i class=x aria-hidden=true>no</i>",
        "<p>seen</p><svg><title>no</title><desc>no</desc><defs><text>no</text></defs><path/></svg>",
        "<p>seen</p><div><input type=submit value=no></div>",
        "<p>seen</p><nav><button aria-controls=p>no</button><div id=p hidden>no</div></nav>",
        "<p>seen</p><video src=a.mp4>Your browser cannot play films: <a href=a.mp4>get it</a></video>",
        "<p>seen</p><audio controls><p>Your browser cannot play sound</p></audio>",
        "<p>seen</p><progress value=3 max=10>30%</progress><meter value=2>2 of 10</meter>",
        "<p>seen</p><datalist id=d><option>one<option>two</datalist>",
    ],
)
def test_what_no_reader_sees_or_only_controls_the_page_is_not(page: str) -> None:
    assert text(page) == "seen"


@together(
    ("page", "shown"),
    [
        ("<p>Press <button>Save</button>, then <b><button>Publish</button></b>.", "Press Save, then Publish."),
        ("<ul><li>Click <button>OK</button></ul>", "- Click OK"),
        ("<h2><button>Terms</button></h2>", "## Terms"),
        ("<p>Press <input type=submit value='Save draft'>, or <input value=no>", "Press Save draft, or"),
        ("<table><tr><td>Use <button>Go</button><td>x</table>", "| Use Go | x | | --- | --- |"),
    ],
)
def test_buttons_in_running_text_and_headings_are_text(page: str, shown: str) -> None:
    assert text(page) == shown


@together(
    ("page", "shown"),
    [
        ("<p>a<svg><path/></svg><svg><g><text>b <tspan>c</tspan><tspan dy=1>d</tspan></text></g></svg>", "a b c d"),
        ("<p>a<svg><svg><foreignObject><div>b</div></foreignObject></svg></svg>", "a b"),
        ("<svg><text>b</text></svg>", "b"),
    ],
)
def test_text_in_drawings_is_text(page: str, shown: str) -> None:
    assert text(page) == shown


def test_a_page_that_waits_for_its_scripts_may_have_its_text_already() -> None:
    page = f"<div>Loading…</div><div style='display:none'>{'<p>The text of the page.' * 20}</div><script>go()</script>"
    assert text(page).count("The text of the page.") == 20


@together(
    ("page", "shown"),
    [
        ("<x-a><template shadowrootmode=open><p>in</p><slot></slot></template>out</x-a>", "in out"),
        ("<x-a><template shadowrootmode='closed'><p>in</p></template><b>unseen</b></x-a>", "in"),
        ("<x-a><template shadowrootmode=open><slot>instead</slot></template><b>out</b></x-a>", "out"),
        ("<x-a><template shadowrootmode=open><slot>instead</slot></template></x-a>", "instead"),
        ("<template><template shadowrootmode=open>no</template></template>seen", "seen"),
        ("<x-a><template shadowrootmode=open>in<template>no</template></template></x-a>", "in"),
    ],
)
def test_declarative_shadow_roots_are_text(page: str, shown: str) -> None:
    assert text(page) == shown


@together(
    "page",
    [
        "<noscript>Please enable JavaScript to run it.</noscript><div id=root></div><script src=a.js></script>",
        "<div id=app>Loading…</div><script type=module src=a.js></script>",
        "<header>My app</header><app-root></app-root><script src=a.js></script>",
        "<script>document.write('x')</script>",
        "<div id=own></div><footer>© 2024 Somebody</footer><script src=a.js></script>",
        "<h1>Shop</h1><noscript>Please turn on JavaScript.</noscript><script>go()</script>",
    ],
)
def test_a_page_that_scripts_fill_is_told(page: str) -> None:
    with pytest.raises(DocumentError, match="scripts") as caught:
        extract(page.encode(), "a.html")
    assert (caught.value.code, caught.value.counts) == ("needs_scripts", False)


@together(
    "page",
    [
        "<p>A short page.<script src=statistics.js></script>",
        "<p>A short page.<noscript><img src=pixel.gif></noscript><script src=a.js></script>",
        "<div id=root><p>A short page.</div><script src=a.js></script>",
        "<script type='application/ld+json'>{}</script>",
        "<a href=/a><img src=a.png></a><script src=a.js></script>",
        "<div id=root></div><script src=a.js></script>" + "<p>A page with text of its own." * 10,
        "",
    ],
)
def test_a_page_with_text_or_without_scripts_is_read(page: str) -> None:
    extract(page.encode(), "a.html")
