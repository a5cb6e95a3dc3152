"""The README's picture of the page: taken at each run, and kept if SPANSPOOL_UPDATE_PICTURE is set."""

import os
import re

from playwright.sync_api import expect

from conftest import open_trace, row
from items import ROOT, SAMPLE, lines, shop_trace
from spool import Spool

MOST_BYTES = 150_000


def test_the_picture_of_the_readme(watched, tmp_path):
    spool = Spool(tmp_path / "spool")
    spool.enqueue(lines(SAMPLE))
    spool.enqueue(shop_trace(), exporter="otlp", endpoint="http://127.0.0.1:4318")
    address = watched.view(spool)
    page = watched.open(address, height=720, color_scheme="light", timezone_id="UTC")
    open_trace(page, "POST /chat")
    row(page, re.compile("^execute_tool")).click()
    expect(page.get_by_label("Tool call")).to_be_visible()
    page.keyboard.press("End")
    expect(page.get_by_text("Where is order 4711?", exact=True)).to_be_visible()
    # The folder is another one at each run.
    page.locator(".place").evaluate("place => place.textContent = '/var/lib/shop/spool'")
    taken = page.screenshot()
    assert len(taken) < MOST_BYTES
    if os.environ.get("SPANSPOOL_UPDATE_PICTURE"):
        (ROOT / "docs/view.png").write_bytes(taken)
