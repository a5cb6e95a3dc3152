"""The spool as one file: it shows the same, and refers to nothing outside."""

import json
import re

import pytest
from playwright.sync_api import expect

from conftest import open_span, open_trace, rows
from items import PAYLOADS, hostile_spans
from spool import Spool


@pytest.fixture(scope="module")
def file(spool, tmp_path_factory):
    return spool.picture(tmp_path_factory.mktemp("picture") / "spool.html")


def test_every_view_is_in_the_file(watched, file):
    page = watched.open(f"file://{file}")
    expect(page.locator(".found")).to_have_text("3 traces")
    expect(page.locator(".pulse")).to_contain_text("as of")
    page.get_by_label("Search").fill("post")
    expect(page.locator(".found")).to_have_text("1 trace")
    page.keyboard.press("Escape")
    open_trace(page, "Order desk")
    panel = open_span(page, "lookup_order")
    expect(panel.get_by_label("Tool call")).to_contain_text("9223372036854775808")
    expect(panel.get_by_text("Download it whole")).to_have_count(0)
    page.get_by_role("link", name="Rejected").click()
    expect(rows(page)).to_have_count(1)
    page.get_by_role("link", name="Now", exact=True).click()
    expect(page.locator(".ledger")).to_contain_text("12")


def test_one_trace_is_shown_at_once(watched, spool, tmp_path):
    file = spool.picture(tmp_path / "trace.html", "--trace", "trace_tool")
    page = watched.open(f"file://{file}")
    expect(page.get_by_role("heading", name="Order desk")).to_be_visible()
    expect(rows(page)).to_have_count(4)
    open_span(page, "lookup_order")


def test_it_is_one_file_with_a_policy(file):
    text = file.read_text(encoding="utf-8")
    assert re.search(r"""<meta http-equiv="Content-Security-Policy" content="default-src 'none';""", text)
    assert not re.search(r"""(src|href)=["'](?!data:)""", text)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    assert "unsafe" not in policy and "http" not in policy


def test_hostile_items_in_the_file(watched, tmp_path):
    spool = Spool(tmp_path / "spool")
    items = []
    for n, payload in enumerate(PAYLOADS):
        items += hostile_spans(f"trace_{n:02}", payload)
    spool.enqueue(items, validation="none")
    file = spool.picture(tmp_path / "hostile.html")
    page = watched.open(f"file://{file}")
    expect(page.locator(".found")).to_have_text(f"{len(PAYLOADS)} traces")
    for n in range(len(PAYLOADS)):
        page.get_by_label("Search").fill(f"trace_{n:02}")
        page.get_by_label("Search").press("Tab")
        rows(page).first.click()
        page.keyboard.press("Enter")
        expect(page.locator(".panel").get_by_text("Raw JSON")).to_be_visible()
        page.get_by_role("link", name="Traces", exact=True).click()
    data = re.search(
        r'<script type="application/json" id="spool">(.*?)</script>', file.read_text(encoding="utf-8"), re.S
    )
    assert "<" not in data[1] and json.loads(data[1])


def test_what_the_file_lacks_is_said(watched, file):
    page = watched.open(f"file://{file}#/trace/none")
    expect(page.get_by_text("this trace is not in the file")).to_be_visible()
