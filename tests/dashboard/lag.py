"""A slow way to the service: with ``-p tests.dashboard.lag``, tests of the dashboard fail that need a quick one.

Each request of a page waits before it is sent and once it is answered, for as long as is drawn anew: so answers come in
another order than they were asked for now and then. The parts of the page itself come late, too.
"""

import asyncio
import random
import re
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext, Route

WAITS_MS = (0, 0, 5, 30, 100, 400)
# Not by a route, which would stand still while a test waits for the service. What it waits with is no clock of a test.
LATE = """
    const [wait, send] = [setTimeout, fetch];
    let drawn = SEED;
    const late = () => new Promise((done) => {
        drawn = (Math.imul(drawn, 1103515245) + 12345) & 0x7fffffff;
        wait(done, WAITS[(drawn >> 16) % WAITS.length]);
    });
    window.fetch = async (...asked) => {
        await late();
        const answer = await send(...asked);
        await late();
        return answer;
    };
"""

_chance = random.Random()  # noqa: S311  # no secret


async def _late(route: "Route") -> None:
    await asyncio.sleep(_chance.choice(WAITS_MS) / 1000)
    await route.fallback()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Draw the same waits for a test each time; which request gets which is up to the page."""
    _chance.seed(item.nodeid)


def pytest_configure() -> None:
    """Make the requests of all pages late."""
    if find_spec("playwright") is None:
        return
    from playwright.async_api import Browser

    new_context = Browser.new_context

    async def late_context(browser: Browser, **options: Any) -> "BrowserContext":
        context = await new_context(browser, **options)
        script = LATE.replace("SEED", str(_chance.randrange(1 << 30))).replace("WAITS", str(list(WAITS_MS)))
        await context.add_init_script(f"{{{script}}}")
        await context.route(re.compile(r"/static/.*\.js$"), _late)
        return context

    setattr(Browser, "new_context", late_context)  # noqa: B010  # mypy lets nobody assign to a method
