"""A span: conversation, tool call, tokens, attributes, events, raw JSON, copy."""

import json
import re

import pytest
from playwright.sync_api import expect

from conftest import fail_first, open_span, open_trace, row, rows
from items import ANSWERED, CONVENTIONS, OTLP_SAMPLE, SAID, lines, otlp, span, trace


def conversation(panel):
    """The messages: role and text."""
    messages = panel.locator(".message").all()
    return [(each.locator(".role").inner_text(), " ".join(each.inner_text().split())) for each in messages]


def check_conversation(messages):
    """Of every convention the same messages: a question, a call, its result, the answer."""
    roles = [role for role, _ in messages if role != "system"]
    assert roles == ["user", "assistant", "tool", "assistant"]
    said, called, result, answered = [text for role, text in messages if role != "system"]
    assert SAID in said
    assert "calls lookup_order" in called and '"order":' in called
    assert "result of lookup_order" in result and '"status": "in transit"' in result
    assert ANSWERED in answered


def test_the_messages_of_the_agents_sdk(watched, address):
    page = watched.open(address)
    open_trace(page, "Order desk")
    expect(rows(page)).to_have_count(4)
    rows(page).last.click()
    panel = page.locator(".panel")
    expect(panel.get_by_role("heading", name="Tokens")).to_be_visible()
    messages = conversation(panel)
    assert messages[0] == ("system", "system You are the desk of a shop.")
    check_conversation(messages)
    # A number that JavaScript can't hold stays what it is.
    assert "9223372036854775808" in messages[2][1]
    expect(panel.locator(".figures")).to_have_text(re.compile(r"input\s*1,536\s*cached\s*768\s*output\s*125"))


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_the_messages_of_each_convention_of_otlp(watched, tmp_path, convention):
    items = [otlp("cd" * 16, "01" * 8, "ask", attributes=CONVENTIONS[convention])]
    _, address = watched.viewing(tmp_path, items, exporter="otlp")
    page = watched.open(address)
    open_trace(page, "ask")
    panel = open_span(page, "ask")
    check_conversation(conversation(panel))
    expect(panel.locator(".figures")).to_have_text(re.compile(r"input\s*412\s*output\s*57"))


def test_a_tool_with_arguments_result_and_error(watched, address):
    page = watched.open(address)
    open_trace(page, "Order desk")
    panel = open_span(page, "lookup_order")
    call = panel.get_by_label("Tool call")
    expect(call).to_contain_text(re.compile(r'Arguments\s*\{\s*"order": 9223372036854775808\s*\}'))
    expect(call).to_contain_text(re.compile(r'Result\s*\{\s*"status": "in transit"\s*\}'))
    expect(panel.get_by_label("Error")).to_contain_text("The carrier did not answer")
    expect(panel.get_by_label("Error")).to_contain_text('"after_s": 3')


def test_a_tool_of_otlp_and_an_exception(watched, address):
    page = watched.open(address)
    open_trace(page, "POST /chat")
    call = open_span(page, "execute_tool").get_by_label("Tool call")
    expect(call).to_contain_text(re.compile(r'Arguments\s*\{\s*"order": 4711\s*\}'))
    panel = open_span(page, "GET carrier")
    expect(panel.get_by_label("Error")).to_contain_text("HTTP 504")
    expect(panel.get_by_label("Error")).to_contain_text("Traceback:")
    expect(panel.locator(".events")).to_contain_text(re.compile(r"\+350\s*ms exception"))
    expect(panel).to_contain_text("service.name")
    panel = open_span(page, "SELECT orders")
    expect(panel.locator(".entries").first).to_contain_text("SELECT * FROM orders\nWHERE id = $1")


def test_raw_json_is_what_the_program_wrote_and_can_be_copied(watched, address):
    page = watched.open(address)
    open_trace(page, "Order desk")
    panel = open_span(page, "lookup_order")
    panel.get_by_text("Raw JSON").click()
    panel.get_by_role("button", name="Copy JSON").click()
    expect(panel.get_by_role("button", name="Copied")).to_be_visible()
    copied = json.loads(page.evaluate("navigator.clipboard.readText()"))
    assert copied["span_data"]["input"] == '{"order": 9223372036854775808}'
    with page.expect_download() as download:
        panel.get_by_text("Download it whole").click()
    assert json.loads(download.value.path().read_bytes())["id"] == "look"


def test_large_numbers_are_not_rounded(watched, tmp_path):
    data = '{"type":"custom","name":"n","data":{"big":9223372036854775809,"tiny":1.0e-12,"whole":1.0}}'
    item = json.dumps(span("t", "numbers")).replace(json.dumps(span("t", "numbers")["span_data"]), data)
    assert data in item
    _, address = watched.viewing(tmp_path, [item])
    page = watched.open(f"{address}#/traces")
    row(page, "").click()
    panel = open_span(page, "n")
    panel.get_by_text("Raw JSON").click()
    for number in ("9223372036854775809", "1.0e-12", "1.0"):
        expect(panel.locator(".folded .code").last).to_contain_text(f": {number}")


def test_the_metadata_of_a_trace(watched, address):
    page = watched.open(address)
    open_trace(page, "Order desk")
    page.get_by_role("button", name="Trace item").click()
    expect(page.locator(".panel .entries")).to_have_text(re.compile(r"customer\s*c-17"))


def test_parents_can_be_followed_and_neighbours_stepped_to(watched, address):
    page = watched.open(address)
    open_trace(page, "POST /chat")
    panel = open_span(page, "GET carrier")
    panel.get_by_role("button", name="04" * 8).click()
    expect(panel.locator("h2")).to_have_text("execute_tool lookup_order")
    page.keyboard.press("j")
    expect(panel.locator("h2")).to_have_text("SELECT orders")
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    expect(row(page, "SELECT orders")).to_be_focused()


def test_a_long_text_is_cut_and_comes_by_and_by(watched, tmp_path):
    text = "".join(f"line {n} of a long answer\n" for n in range(400))
    huge = "x" * 10_000_000
    items = [
        trace("t", "Long"),
        span("t", "a", type="function", name="long", input=text, output=huge),
        span("t", "b", type="custom", name="n" * 1_000_000, data={}),
    ]
    _, address = watched.viewing(tmp_path, items, max_item_bytes="16MiB")
    page = watched.open(address)
    open_trace(page, "Long")
    panel = open_span(page, "long")
    assert len(panel.inner_text()) < 20_000
    panel.get_by_role("button", name="Show all").first.click()
    expect(panel.get_by_text("line 399 of a long answer")).to_be_visible()
    panel.get_by_text("Raw JSON").click()
    expect(panel.get_by_text("Cut here for their length")).to_contain_text("9.54")
    assert len(page.content()) < 400_000


def test_real_spans_of_the_agents_sdk_by_otlp(watched, tmp_path):
    _, address = watched.viewing(tmp_path, lines(OTLP_SAMPLE), exporter="otlp")
    page = watched.open(f"{address}#/traces")
    row(page, "transcription").click()
    panel = open_span(page, "speech_group")
    expect(panel.locator(".message").first).to_be_visible()


def test_an_item_that_is_gone_is_said_to_be(watched, tmp_path):
    from spool import Ingest

    spool, address = watched.viewing(tmp_path, [trace("t", "Gone"), span("t", "gone")])
    page = watched.open(address, allowed=["404", "ERR_FAILED"])
    open_trace(page, "Gone")
    # The page does not notice before the row is pressed, however slow the machine is.
    page.route("**/api/now*", lambda route: route.abort())
    with Ingest() as endpoint:
        spool.drain(endpoint)
    row(page, "gone").click()
    expect(page.locator(".panel")).to_contain_text("The item is no longer in the spool.")


@pytest.mark.parametrize(("kind", "why"), [("503", "the disk is slow"), ("abort", "no answer")])
def test_an_item_that_could_not_be_read_is_tried_again(watched, tmp_path, kind, why):
    _, address = watched.viewing(tmp_path, [trace("t", "Slow"), span("t", "slow")])
    page = watched.open(address, allowed=["503", "ERR_FAILED"])
    open_trace(page, "Slow")
    asked = fail_first(page, "api/span", 2, kind)
    row(page, "slow").click()
    expect(page.locator(".panel")).to_contain_text(why)
    expect(page.locator(".panel").get_by_text("Raw JSON")).to_be_visible()
    # The wait doubles.
    waits = [later - earlier for earlier, later in zip(asked, asked[1:])]
    assert all(wait >= least for wait, least in zip(waits, [0.9, 1.9])), waits
