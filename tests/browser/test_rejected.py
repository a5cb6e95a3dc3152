"""Rejected: why, the ingest's answer, and the command that puts an item back."""

import shlex

from playwright.sync_api import expect

from conftest import fail_first, row, rows
from items import REFUSED_ITEM, span
from spool import Ingest, run


def test_why_it_was_refused_and_how_to_send_it_again(watched, tmp_path):
    spool, address = watched.viewing(tmp_path, [REFUSED_ITEM, span("trace_taken", "taken")])
    with Ingest() as endpoint:
        spool.drain(endpoint)
    page = watched.open(f"{address}#/rejected")
    expect(rows(page)).to_have_count(1)
    expect(rows(page)).to_contain_text("HTTP 422")
    expect(page.get_by_role("link", name="Rejected")).to_contain_text("1")
    page.keyboard.press("Enter")
    panel = page.locator(".panel")
    expect(panel).to_contain_text('"message": "Invalid value <b>here</b>"')

    panel.get_by_role("link", name="Show it in its trace").click()
    expect(page.locator(".panel")).to_contain_text("refuse-this-item")
    page.get_by_role("link", name="Why it was rejected").click()
    expect(panel).to_contain_text("Invalid value")

    panel.get_by_role("button", name="Copy command").click()
    expect(panel.get_by_role("button", name="Copied")).to_be_visible()
    command = shlex.split(page.evaluate("navigator.clipboard.readText()"))
    assert command[0] == "spanspool"
    run(*command[1:])
    expect(page.get_by_text("Nothing was rejected.")).to_be_visible()
    page.get_by_role("link", name="Traces", exact=True).click()
    expect(row(page, "refund").locator(".states")).to_contain_text("1 waiting")


def test_rejected_items_that_could_not_be_read_are_tried_again(watched, address):
    page = watched.open(f"{address}#/now", allowed=["503"])
    fail_first(page, "api/rejected", 1)
    page.get_by_role("link", name="Rejected").click()
    missing = page.locator(".note", has_text="Rejected items are not loaded, and are tried again: the disk is slow")
    expect(missing).to_be_visible()
    expect(rows(page)).to_have_count(1)
    expect(missing).to_be_hidden()
