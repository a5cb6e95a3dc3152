"""A trace: nesting, critical path, gaps, errors; folding, zoom; broken trees; many spans."""

import re

import pytest
from playwright.sync_api import expect

from conftest import fail_first, open_span, open_trace, row, rows, viewing
from items import broken_tree, span, trace


def place(element):
    """Where a bar begins and ends, as parts of the width."""
    left, width = element.evaluate("bar => [bar.style.left, bar.style.width]")
    return round(float(left[:-1])), round(float(left[:-1]) + float(width[:-1]))


def test_the_waterfall_nests_and_times_spans(watched, address):
    page = watched.open(address)
    open_trace(page, "POST /chat")
    levels = {
        name: row(page, name).get_attribute("aria-level") for name in ("POST /chat", "invoke_agent", "GET carrier")
    }
    assert levels == {"POST /chat": "1", "invoke_agent": "2", "GET carrier": "4"}
    assert place(row(page, "execute_tool").locator(".bar")) == (30, 59)
    expect(row(page, "execute_tool").locator(".lasted")).to_have_text(re.compile(r"950\s*ms"))
    expect(row(page, "GET carrier")).to_have_class(re.compile("has-error"))
    expect(row(page, "GET carrier").locator(".only-heard").first).to_have_text("Error: ")
    expect(page.locator(".trace-facts")).to_contain_text("1 error")


def test_the_critical_path_leads_through_the_spans_that_were_waited_for(watched, tmp_path):
    spans = [
        trace("t", "Parallel"),
        span("t", "root", None, 0, 100),
        span("t", "short", "root", 0, 40),
        span("t", "long", "root", 0, 60),
        span("t", "last", "root", 70, 90),
    ]
    _, address = watched.viewing(tmp_path, spans)
    page = watched.open(address)
    open_trace(page, "Parallel")
    assert row(page, "short").locator(".critical").count() == 0
    assert place(row(page, "long").locator(".critical")) == (0, 60)
    assert place(row(page, "last").locator(".critical")) == (70, 90)
    assert [place(each) for each in row(page, "root").locator(".critical").all()] == [(60, 70), (90, 100)]
    assert [place(each) for each in row(page, "root").locator(".gap").all()] == [(60, 70), (90, 100)]
    expect(page.locator(".shares")).to_contain_text(re.compile(r"60\s*% long"))
    panel = open_span(page, "root")
    expect(panel).to_contain_text(re.compile(r"Own time\s*20\s*ms"))
    expect(panel).to_contain_text(re.compile(r"Critical path\s*20\s*ms, 20\s*% of the trace"))


def test_a_time_in_which_nothing_ran_is_marked(watched, tmp_path):
    spans = [trace("t", "Pause"), span("t", "ask", None, 0, 20), span("t", "tell", None, 80, 100)]
    _, address = watched.viewing(tmp_path, spans)
    page = watched.open(address)
    open_trace(page, "Pause")
    assert place(page.locator(".trace-gap")) == (20, 80)


def test_spans_fold_and_unfold(watched, address):
    page = watched.open(address)
    open_trace(page, "POST /chat")
    expect(row(page, "POST /chat")).to_be_focused()
    page.keyboard.press("j")
    expect(row(page, "invoke_agent")).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(row(page, "invoke_agent")).to_have_attribute("aria-expanded", "false")
    expect(rows(page)).to_have_count(2)
    expect(row(page, "invoke_agent")).to_contain_text("+5")
    expect(row(page, "invoke_agent")).to_contain_text("1 error")
    page.keyboard.press("ArrowRight")
    expect(rows(page)).to_have_count(7)
    row(page, "invoke_agent").locator(".twisty").click()
    expect(rows(page)).to_have_count(2)
    # An error below a folded span is found all the same.
    page.keyboard.press("e")
    expect(row(page, "GET carrier")).to_be_focused()


def test_a_span_is_zoomed_to_and_back(watched, address):
    page = watched.open(address)
    open_trace(page, "POST /chat")
    page.keyboard.press("e")
    page.keyboard.press("z")
    assert place(row(page, "GET carrier").locator(".bar")) == (0, 100)
    expect(row(page, "SELECT orders")).to_contain_text("before")
    page.keyboard.press("z")
    assert place(row(page, "POST /chat").locator(".bar")) == (0, 100)


def test_a_trace_and_a_span_can_be_linked(watched, address):
    page = watched.open(address)
    open_trace(page, "POST /chat")
    open_span(page, "GET carrier")
    linked = watched.open(page.url)
    expect(linked.locator(".panel h2")).to_have_text("GET carrier")
    expect(row(linked, "GET carrier")).to_have_attribute("aria-selected", "true")
    linked.go_back()


def test_a_trace_that_could_not_be_read_is_tried_again(watched, address):
    page = watched.open(f"{address}#/traces", allowed=["503"])
    fail_first(page, r"api/trace\?", 2)
    row(page, "POST /chat").click()
    expect(page.get_by_text("the disk is slow")).to_be_visible()
    expect(rows(page)).to_have_count(7)
    expect(page.get_by_text("the disk is slow")).to_be_hidden()


def test_a_trace_that_grows_grows_on_the_page(watched, tmp_path):
    spool, address = watched.viewing(tmp_path, [trace("t", "Grows"), span("t", "a", None, 0, 100)])
    page = watched.open(address)
    open_trace(page, "Grows")
    open_span(page, "a")
    spool.enqueue([span("t", "b", "a", 10, 20)])
    expect(row(page, "b")).to_have_attribute("aria-level", "2")
    expect(page.locator(".panel h2")).to_have_text("a")


def test_every_broken_rule_is_shown_and_named(watched, tmp_path):
    _, address = watched.viewing(tmp_path, broken_tree(), validation="none")
    page = watched.open(address, height=900)
    open_trace(page, "Broken")
    expect(rows(page)).to_have_count(16)
    flaws = {
        "orphan": "missing",
        "self": "cycle",
        "ring-a": "cycle",
        "backwards": "backwards",
        "timeless": "timeless",
        "no-time": "timeless",
        "ancient": "far",
        "far-off": "far",
    }
    for name, flaw in flaws.items():
        expect(row(page, re.compile(f"^{name}$")).locator(".flaw")).to_have_text(flaw)
    expect(rows(page).filter(has_text="equal")).to_have_count(1)
    expect(row(page, "of-twin")).to_have_attribute("aria-level", "3")
    expect(row(page, "ring-c")).to_have_attribute("aria-level", "3")
    # They don't set the scale: it goes from "before" to the end of "root", 1.5 s.
    assert place(row(page, "root").locator(".bar")) == (33, 100)
    expect(row(page, "backwards").locator(".lasted")).to_have_text(re.compile("−100\\s*ms"))
    expect(row(page, "instant").locator(".lasted")).to_have_text(re.compile("0\\s*µs"))
    panel = open_span(page, "ring-a")
    expect(panel).to_contain_text("Its parents lead back to itself.")


@pytest.fixture(scope="module")
def huge(tmp_path_factory):
    """A trace of 100,000 spans: a chain of 5,000, then leaves."""

    def spans():
        yield trace("t", "Huge")
        for n in range(100_000):
            parent = f"s{n - 1}" if 0 < n < 5000 else f"s{n % 5000}"
            error = {"message": "no", "data": None} if n == 99_000 else None
            yield span("t", f"s{n}", parent if n else None, n, n + 10, error)

    with viewing(tmp_path_factory.mktemp("huge"), spans()) as (_, address):
        yield address


def test_a_hundred_thousand_spans(watched, huge):
    page = watched.open(huge)
    open_trace(page, "Huge")
    expect(page.locator(".trace-facts")).to_contain_text("100,000 spans")
    assert rows(page).count() < 100
    page.keyboard.press("End")
    expect(page.locator("[role=row]:focus")).to_have_attribute("aria-rowindex", "100000")
    page.keyboard.press("e")
    expect(row(page, "s99000")).to_be_focused()
    page.locator(".waterfall").evaluate("list => list.scrollTop = list.scrollHeight / 3")
    expect(rows(page).first).to_be_visible()
    assert rows(page).count() < 100
    page.keyboard.press("Home")
    page.keyboard.press("ArrowLeft")
    expect(rows(page)).to_have_count(1)
