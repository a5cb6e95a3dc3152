"""A browser whose pages are watched: whatever a span made happen that it must not fails the test."""

import os
import re
import shutil
import time
from contextlib import ExitStack, contextmanager

import pytest
from playwright.sync_api import expect, sync_playwright

from items import REFUSED_ITEM, shop_trace, span, tool_trace
from spool import Ingest, Spool

# Generous, for slow machines: what is waited for comes in a fraction of it.
WAIT_MS = int(os.environ.get("WAIT_MS", "60000"))
expect.set_options(timeout=WAIT_MS)

WATCH = """
window.violations = [];
addEventListener('securitypolicyviolation', (event) =>
    window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
"""


@pytest.fixture(scope="session")
def browser():
    with sync_playwright() as playwright:
        path = os.environ.get("CHROMIUM") or shutil.which("chromium")
        # Chromium has no sandbox for root, whom the tests run as in a container.
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


class Watched:
    """Opens pages, and knows what went wrong in them."""

    def __init__(self, browser, viewers):
        self._browser = browser
        self._viewers = viewers
        self._pages = []
        self.wrong = []

    def view(self, spool):
        """The address of a viewer of `spool` that outlives the pages: what they ask for last is answered, too."""
        return self._viewers.enter_context(spool.view())

    def running(self, spool):
        """The same; gives the viewer's process, too."""
        return self._viewers.enter_context(spool.running())

    def viewing(self, *spool, **settings):
        """As the function of that name; the viewer outlives the pages."""
        return self._viewers.enter_context(viewing(*spool, **settings))

    def open(self, address, width=1280, height=800, allowed=(), **context):
        """A page at `address`. `allowed`: parts of console messages that the test causes on purpose."""
        base = address.split("#")[0]
        made = self._browser.new_context(viewport={"width": width, "height": height}, locale="en-GB", **context)
        made.set_default_timeout(WAIT_MS)
        made.grant_permissions(["clipboard-read", "clipboard-write"])
        page = made.new_page()
        page.add_init_script(WATCH)
        page.on("console", lambda message: self._note_console(message, allowed))
        page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (self.wrong.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("popup", lambda popup: self.wrong.append(f"window: {popup.url}"))
        page.on("request", lambda request: self._note_request(request.url, base))
        self._pages.append(page)
        page.goto(address)
        return page

    def _note_console(self, message, allowed):
        if message.type in ("error", "warning") and not any(part in message.text for part in allowed):
            self.wrong.append(f"console: {message.text}")

    def _note_request(self, url, base):
        inside = url == base if base.startswith("file:") else url.startswith(base)
        if not inside and not url.startswith("data:"):
            self.wrong.append(f"request: {url}")

    def check(self):
        for page in self._pages:
            ran = page.evaluate("[typeof window.hostile, String(Object.prototype.hostile), document.title]")
            assert ran[:2] == ["undefined", "undefined"], ran
            self.wrong += page.evaluate("window.violations")
        assert self.wrong == []

    def close(self):
        for page in self._pages:
            page.context.close()


@pytest.fixture
def watched(browser):
    with ExitStack() as viewers:
        pages = Watched(browser, viewers)
        try:
            yield pages
            pages.check()
        finally:
            pages.close()


@pytest.fixture(scope="session")
def spool(tmp_path_factory):
    """A spool with a trace of the Agents SDK, one of OTLP, and an item that was refused."""
    made = Spool(tmp_path_factory.mktemp("spool") / "spool")
    # Another is taken: what refuses everything would be the endpoint's fault.
    made.enqueue([REFUSED_ITEM, span("trace_taken", "taken")])
    with Ingest() as endpoint:
        made.drain(endpoint)
    made.enqueue(tool_trace())
    made.enqueue(shop_trace(), exporter="otlp", endpoint="http://127.0.0.1:4318")
    return made


@pytest.fixture(scope="session")
def address(spool):
    """Where the viewer of `spool` is."""
    with spool.view() as address:
        yield address


def fail_first(page, address, times, kind="503"):
    """Lets the first `times` requests for `address` fail. Returns a list that gets the time of each request."""
    asked = []

    def answer(route):
        asked.append(time.monotonic())
        if len(asked) > times:
            route.continue_()
        elif kind == "abort":
            route.abort()
        else:
            route.fulfill(status=503, json={"error": "the disk is slow"})

    page.route(re.compile(address), answer)
    return asked


@contextmanager
def viewing(path, items=(), **settings):
    """A spool of its own with `items`, and its viewer: `(spool, address)`."""
    made = Spool(path / "spool")
    if items:
        made.enqueue(items, **settings)
    with made.view() as address:
        yield made, address


def rows(page):
    """The rows in view."""
    return page.locator("[role=row]")


def row(page, name):
    """The row with a name."""
    return rows(page).filter(has=page.locator(".name", has_text=name)).first


def open_trace(page, name):
    """Goes to a trace by the list."""
    page.get_by_role("link", name="Traces", exact=True).click()
    row(page, name).click()
    expect(page.get_by_role("treegrid").locator("[role=row]").first).to_be_visible()


def open_span(page, name):
    """Opens a span of the trace that is shown; returns its panel."""
    row(page, name).click()
    panel = page.locator(".panel")
    expect(panel.get_by_text("Raw JSON")).to_be_visible()
    return panel
