"""For everybody: axe, keyboard, screen readers, small screens, both themes, reduced motion."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from conftest import open_span, open_trace, row, rows

VIEWS = ["now", "traces", "trace", "span", "tool", "rejected", "answer", "help"]
WIDTHS = {"wide": 1280, "narrow": 360}
# Those that end beyond the screen, but for what is not seen and what is cut there on purpose.
TOO_WIDE = """
all => all.filter((each) => !each.closest('.only-heard, pre, i') && each.getBoundingClientRect().right > 361)
    .map((each) => each.outerHTML.slice(0, 120))
"""


def go(page, view):
    """Shows one of the views, as a reader would come to it."""
    if view in ("trace", "span", "tool"):
        open_trace(page, "Order desk" if view == "tool" else "POST /chat")
    if view == "span":
        row(page, "chat gpt-5").click()
        expect(page.locator(".panel").get_by_text("Raw JSON")).to_be_visible()
    if view == "tool":
        open_span(page, "lookup_order")
    if view in ("rejected", "answer"):
        page.get_by_role("link", name="Rejected").click()
        expect(rows(page)).to_have_count(1)
    if view == "answer":
        page.keyboard.press("Enter")
    if view == "traces":
        page.get_by_role("link", name="Traces", exact=True).click()
        expect(rows(page)).to_have_count(3)
    if view == "help":
        page.keyboard.press("?")
        expect(page.get_by_role("dialog")).to_be_visible()
    if view == "now":
        expect(page.get_by_role("listitem").first).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_nothing(watched, address, view, width, theme):
    page = watched.open(address, width=WIDTHS[width], color_scheme=theme)
    go(page, view)
    found = Axe().run(page)
    faults = [
        f"{fault['id']}: {node['html'][:200]}" for fault in found.response["violations"] for node in fault["nodes"]
    ]
    assert faults == []


@pytest.mark.parametrize("view", VIEWS)
def test_nothing_is_wider_than_a_small_screen(watched, address, view):
    page = watched.open(address, width=360, height=740)
    go(page, view)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    wide = page.locator("main *:visible").evaluate_all(TOO_WIDE)
    assert wide == []


def test_everything_by_keyboard(watched, address):
    page = watched.open(address)
    page.keyboard.press("2")
    expect(row(page, "POST /chat")).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type("order")
    expect(page.locator(".found")).to_have_text("1 trace")
    # Letters that are typed are letters.
    page.keyboard.type(" jk")
    expect(page.locator(".found")).to_have_text("0 traces")
    page.keyboard.press("Escape")
    expect(page.locator(".found")).to_have_text("3 traces")
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    expect(page.get_by_role("treegrid")).to_be_visible()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator(".panel h2")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("[role=row]:focus")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.get_by_label("Search")).to_be_visible()
    page.keyboard.press("3")
    expect(rows(page)).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page.locator(".panel")).to_contain_text("requeue")
    page.keyboard.press("1")
    expect(page.locator(".ledger")).to_be_visible()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.locator(".ledger")).to_be_visible()


def test_what_a_screen_reader_is_told(watched, address):
    page = watched.open(f"{address}#/traces")
    status = page.get_by_role("status")
    expect(status).to_have_text("3 traces")
    grid = page.get_by_role("grid", name="Traces, newest first")
    expect(grid.get_by_role("row").first).to_have_attribute("aria-rowindex", "1")
    expect(grid).to_have_attribute("aria-rowcount", "3")
    row(page, "POST /chat").click()
    expect(status).to_have_text("7 spans, 1 error")
    # What changes by itself, each second, is not told.
    page.get_by_role("link", name="Now", exact=True).click()
    expect(page.locator(".ledger")).to_be_visible()
    for _ in range(3):
        with page.expect_response("**/api/now*"):
            pass
    expect(status).to_have_text("7 spans, 1 error")
    assert page.locator("[aria-live]").count() == 0 and page.get_by_role("status").count() == 1


@pytest.mark.parametrize("reduced", ["reduce", "no-preference"])
def test_motion_is_left_out_for_those_who_ask(watched, address, reduced):
    page = watched.open(address, reduced_motion=reduced)
    expect(page.locator(".beats")).to_be_visible()
    moving = page.evaluate("document.getAnimations().length")
    assert moving == (0 if reduced == "reduce" else 1)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_both_themes_follow_the_system(watched, address, theme):
    page = watched.open(address, color_scheme=theme)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = sum(map(int, re.findall(r"\d+", ground)[:3])) / 3
    assert (brightness > 200) == (theme == "light")


def test_the_panel_covers_a_small_screen_and_gives_the_focus_back(watched, address):
    page = watched.open(address, width=360, height=740, has_touch=True)
    open_trace(page, "POST /chat")
    row(page, "GET carrier").click()
    expect(page.locator(".panel h2")).to_be_focused()
    assert page.locator(".panel").bounding_box()["width"] == 360
    page.get_by_role("button", name="Close").click()
    expect(row(page, "GET carrier")).to_be_focused()
