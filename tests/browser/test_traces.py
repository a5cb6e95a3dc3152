"""Traces: the list, its search and filters, and its length."""

import re

import pytest
from playwright.sync_api import expect

from conftest import fail_first, row, rows, viewing
from items import SAMPLE, lines, span, trace


def names(page):
    return rows(page).locator(".name").all_inner_texts()


def many(n):
    """Traces of one span each; every tenth has an error, and trace n takes n milliseconds."""
    for i in range(n):
        error = {"message": "no", "data": None} if i % 10 == 0 else None
        yield trace(f"trace_{i}", f"run {i}")
        yield span(f"trace_{i}", f"span_{i}", None, i, 2 * i, error)


@pytest.fixture(scope="module")
def long_list(tmp_path_factory):
    with viewing(tmp_path_factory.mktemp("many"), many(5000)) as (_, address):
        yield address


def test_newest_first_with_what_there_is_to_know(watched, address):
    page = watched.open(f"{address}#/traces")
    expect(page.locator(".found")).to_have_text("3 traces")
    shop = row(page, "POST /chat")
    expect(shop).to_contain_text("shop")
    expect(shop.locator(".lasted")).to_have_text(re.compile(r"3\.2\s*s"))
    expect(shop.locator(".spans")).to_contain_text("7")
    expect(shop.locator(".errors")).to_contain_text("1")
    expect(shop.locator(".states")).to_have_text("7 waiting")
    expect(row(page, "Order desk").locator(".spans")).to_contain_text("4")


def test_real_items_of_the_agents_sdk(watched, tmp_path):
    _, address = watched.viewing(tmp_path, lines(SAMPLE))
    page = watched.open(f"{address}#/traces")
    expect(page.locator(".found")).to_have_text("24 traces")
    expect(row(page, "Code assistant").locator(".spans")).to_contain_text("27")
    expect(row(page, "Évaluation")).to_be_visible()
    began = page.locator(".began time").evaluate_all("all => all.map((time) => time.dateTime)")
    assert began == sorted(began, reverse=True)


def test_filters_choose_and_are_in_the_address(watched, long_list):
    page = watched.open(f"{long_list}#/traces")
    found = page.locator(".found")
    expect(found).to_have_text("5,000 traces")
    page.get_by_text("Errors", exact=True).first.click()
    expect(found).to_have_text("500 traces")
    page.get_by_label("Shortest duration").fill("2 s")
    expect(found).to_have_text("300 traces")
    page.get_by_label("Longest duration").fill("3s")
    expect(found).to_have_text("101 traces")
    page.get_by_label("Search").fill("RUN 25")
    expect(found).to_have_text("10 traces")
    assert {"q=RUN+25", "errors=1", "min=2+s", "max=3s"} <= set(page.url.split("?")[1].split("&"))

    linked = watched.open(page.url)
    expect(linked.locator(".found")).to_have_text("10 traces")
    linked.get_by_label("Search").fill("nothing of this kind")
    expect(linked.get_by_text("No trace matches.")).to_be_visible()
    linked.get_by_label("Shortest duration").fill("soon")
    expect(linked.get_by_label("Shortest duration")).to_have_attribute("aria-invalid", "true")


def test_an_address_with_filters_is_followed_in_the_same_tab(watched, long_list):
    page = watched.open(f"{long_list}#/traces?errors=1")
    found = page.locator(".found")
    expect(found).to_have_text("500 traces")
    page.goto(f"{long_list}#/traces?q=run+25")
    expect(found).to_have_text("111 traces")
    expect(page.get_by_label("Search")).to_have_value("run 25")
    # The way back to the list leads to the one that was left.
    page.get_by_role("link", name="Now", exact=True).click()
    page.get_by_role("link", name="Traces", exact=True).click()
    expect(found).to_have_text("111 traces")
    assert page.url.endswith("#/traces?q=run+25")


def test_what_is_found_is_shown_from_its_first_row_on(watched, long_list):
    page = watched.open(f"{long_list}#/traces")
    expect(row(page, "run 4999")).to_be_visible()
    page.locator(".traces").evaluate("list => list.scrollTop = list.scrollHeight / 2")
    expect(row(page, "run 2500")).to_be_visible()
    page.get_by_label("Search").fill("run 4")
    expect(row(page, "run 4999")).to_be_visible()
    expect(rows(page).first).to_have_attribute("aria-rowindex", "1")


def test_rejected_traces_can_be_chosen(watched, address):
    page = watched.open(f"{address}#/traces?rejected=1")
    expect(page.locator(".found")).to_have_text("1 trace")
    expect(rows(page).locator(".states")).to_have_text("1 rejected")


def test_only_the_rows_in_view_are_elements_and_all_can_be_reached(watched, long_list):
    page = watched.open(f"{long_list}#/traces")
    expect(row(page, "run 4999")).to_be_visible()
    assert rows(page).count() < 100
    page.keyboard.press("End")
    expect(row(page, "run 0")).to_be_focused()
    assert rows(page).count() < 100
    page.locator(".traces").evaluate("list => list.scrollTop = list.scrollHeight / 2")
    expect(row(page, "run 2500")).to_be_visible()
    assert rows(page).count() < 100


@pytest.mark.parametrize(("kind", "why"), [("503", "the disk is slow"), ("abort", "no answer")])
def test_rows_that_could_not_be_had_are_tried_again_and_said_to_be_missing(watched, long_list, kind, why):
    page = watched.open(f"{long_list}#/traces", allowed=["503", "ERR_FAILED"])
    expect(row(page, "run 4999")).to_be_visible()
    asked = fail_first(page, "api/traces.*offset=2400", 3, kind)
    page.locator(".traces").evaluate("list => list.scrollTop = list.scrollHeight / 2")
    missing = page.locator(".note", has_text=f"Traces 2,401 to 2,600 are not loaded, and are tried again: {why}")
    expect(missing).to_be_visible()
    expect(row(page, "run 2500")).to_be_visible()
    expect(missing).to_be_hidden()
    expect(page.locator(".found")).to_have_text("5,000 traces")
    # The wait doubles.
    waits = [later - earlier for earlier, later in zip(asked, asked[1:])]
    assert all(wait >= least for wait, least in zip(waits, [0.9, 1.9, 3.9])), waits


def test_rows_that_nobody_looks_at_are_not_tried_again(watched, long_list):
    page = watched.open(f"{long_list}#/traces", allowed=["503"])
    expect(row(page, "run 4999")).to_be_visible()
    asked = fail_first(page, "api/traces.*offset=4800", 1)
    page.keyboard.press("End")
    missing = page.locator(".note", has_text="Traces 4,801 to 5,000 are not loaded")
    expect(missing).to_be_visible()
    page.get_by_role("link", name="Now", exact=True).click()
    for _ in range(3):
        with page.expect_response("**/api/now*"):
            pass
    assert len(asked) == 1
    page.get_by_role("link", name="Traces", exact=True).click()
    expect(row(page, "run 0")).to_be_visible()
    expect(missing).to_be_hidden()


def test_old_rows_are_said_to_be_old_as_long_as_no_newer_ones_can_be_had(watched, tmp_path):
    spool, address = watched.viewing(tmp_path, many(3))
    page = watched.open(f"{address}#/traces", allowed=["503"])
    expect(row(page, "run 2")).to_be_visible()
    fail_first(page, "api/traces", 1)
    spool.enqueue([trace("trace_new", "newest"), span("trace_new", "n", None, 90_000, 90_001)])
    old = page.locator(".note", has_text="Traces 1 to 3 are shown as they were, and are tried again: the disk is slow")
    expect(old).to_be_visible()
    expect(row(page, "run 2")).to_be_visible()
    expect(row(page, "newest")).to_be_visible()
    expect(old).to_be_hidden()


def test_a_server_that_is_gone_is_said_to_be_and_so_are_the_rows_that_only_it_had(watched, tmp_path):
    with viewing(tmp_path, many(700)) as (_, address):
        page = watched.open(f"{address}#/traces", allowed=["ERR_CONNECTION_", "ERR_EMPTY_RESPONSE"])
        expect(row(page, "run 699")).to_be_visible()
    page.keyboard.press("End")
    missing = "Traces 601 to 700 are not loaded, and are tried again: no answer"
    expect(page.locator(".note", has_text=missing)).to_be_visible()
    expect(page.get_by_text("The spool can't be seen: no answer")).to_be_visible()
    page.keyboard.press("Home")
    expect(row(page, "run 699")).to_be_focused()


def test_the_reader_comes_back_to_the_same_row(watched, long_list):
    page = watched.open(f"{long_list}#/traces?errors=1")
    expect(row(page, "run 4990")).to_be_visible()
    for _ in range(30):
        page.keyboard.press("j")
    expect(row(page, "run 4700")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="run 4700")).to_be_visible()
    page.keyboard.press("Escape")
    expect(row(page, "run 4700")).to_be_focused()
    expect(page.locator(".found")).to_have_text("500 traces")


def test_rows_do_not_move_under_the_reader(watched, tmp_path):
    spool, address = watched.viewing(tmp_path, many(300))
    page = watched.open(f"{address}#/traces")
    expect(row(page, "run 299")).to_be_visible()
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(row(page, "run 298")).to_be_focused()
    spool.enqueue([trace("trace_new", "newest"), span("trace_new", "n", None, 90_000, 90_001)])
    newer = page.get_by_role("button", name="The spool changed")
    expect(newer).to_be_visible()
    expect(row(page, "run 298")).to_be_focused()
    newer.click()
    expect(row(page, "newest")).to_be_visible()


def test_a_trace_spread_over_lanes_is_one(watched, tmp_path):
    spool, address = watched.viewing(tmp_path, [trace("t", "Spread"), span("t", "a")])
    spool.enqueue([span("t", "b", "a", 2, 8), span("t", "c", "b", 3, 5)])
    page = watched.open(f"{address}#/traces")
    expect(page.locator(".found")).to_have_text("1 trace")
    expect(row(page, "Spread").locator(".spans")).to_contain_text("3")
    row(page, "Spread").click()
    expect(row(page, "c")).to_have_attribute("aria-level", "3")


def test_an_address_with_a_strange_key_is_no_trace(watched, address):
    page = watched.open(f"{address}#/trace/%E0%A4%A", allowed=["404"])
    expect(page.get_by_text("This trace is not in the spool")).to_be_visible()
