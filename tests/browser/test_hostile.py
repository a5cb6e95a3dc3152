"""Everything from a span is hostile: it is shown, and nothing of it runs, loads, hides or turns around anything.

What would show that it does is in `Watched`: a global, a console message, a violation of the policy, a request.
"""

import re

import pytest
from playwright.sync_api import expect

from conftest import row, rows, viewing
from items import PAYLOADS, attributes, hostile_spans, otlp, span, trace
from spool import Ingest

SOLID = (
    'script, iframe, object, embed, svg [onload], base, link[href*="evil"], img, a[href*="evil"], a[href^="javascript"]'
)


UNSEEN = re.compile("[\u0000-\u001f\u00ad\u200b\u2028-\u202e\u2066-\u2069\ufeff\U000e0041\U000e0042]")


def shown(payload):
    """A part of `payload` that is seen as it is: between its unseen characters, which have names."""
    return max(UNSEEN.split(payload), key=len)[:40].strip()


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    items = []
    for n, payload in enumerate(PAYLOADS):
        items += hostile_spans(f"trace_{n:02}", payload)
    with viewing(tmp_path_factory.mktemp("hostile"), items, validation="none") as (_, address):
        yield address


def unfold(page):
    for summary in page.locator(".panel summary").all():
        if summary.locator("xpath=..").get_attribute("open") is None:
            summary.click()


@pytest.mark.parametrize("payload", range(len(PAYLOADS)))
def test_no_text_of_a_span_is_more_than_a_text(watched, hostile, payload):
    page = watched.open(f"{hostile}#/traces?q=trace_{payload:02}")
    expect(rows(page).first).to_contain_text(shown(PAYLOADS[payload]))
    solid = page.locator("body").locator(SOLID).count()
    rows(page).first.click()
    expect(page.get_by_role("treegrid")).to_be_visible()
    expect(rows(page)).to_have_count(4)
    page.keyboard.press("Home")
    for _ in range(4):
        page.keyboard.press("Enter")
        expect(page.locator(".panel").get_by_text("Raw JSON")).to_be_visible()
        unfold(page)
        expect(page.locator(".panel")).to_contain_text(shown(PAYLOADS[payload]))
        page.keyboard.press("j")
    assert page.locator("body").locator(SOLID).count() == solid == 0
    # The page's own parts are still there, and where they were.
    expect(page.get_by_role("link", name="Now", exact=True)).to_be_visible()


def test_unseen_characters_are_named(watched, tmp_path):
    name = "a\u202eb\u2066c\u200bd\u0000e\u001bf\u2028g\ufeffh\U000e0041i"
    items = [trace("t", name), span("t", "s", name=name, type="custom")]
    _, address = watched.viewing(tmp_path, items, validation="none")
    page = watched.open(f"{address}#/traces")
    named = "aU+202EbU+2066cU+200BdU+0000eU+001BfU+2028gU+FEFFhU+E0041i"
    expect(rows(page).locator(".name")).to_have_text(named)
    assert rows(page).locator(".name > bdi").count() == 1
    rows(page).click()
    expect(page.locator("h1 bdi")).to_have_text(named)
    assert "\u202e" not in page.content()


def test_the_direction_of_a_text_stays_its_own(watched, tmp_path):
    _, address = watched.viewing(tmp_path, [trace("t", "أين طلبي؟"), span("t", "s", end=7)])
    page = watched.open(f"{address}#/traces")
    expect(rows(page)).to_have_count(1)
    # The cells to its right are where they are in every row.
    name = row(page, "أين").locator(".name").bounding_box()
    lasted = row(page, "أين").locator(".lasted").bounding_box()
    assert name["x"] + name["width"] < lasted["x"]


def test_hostile_attributes_of_otlp(watched, tmp_path):
    pairs = {payload: payload for payload in PAYLOADS}
    pairs |= {f"llm.input_messages.{n}.message.role": payload for n, payload in enumerate(PAYLOADS)}
    pairs |= {f"llm.input_messages.{n}.message.content": payload for n, payload in enumerate(PAYLOADS)}
    pairs |= {
        "llm.input_messages.99999999999999999999.message.content": "far",
        "llm.input_messages.0.message.__proto__.hostile": "polluted",
        "llm.input_messages.__proto__.hostile": "polluted",
        "gen_ai.output.messages": '[{"role":"assistant","__proto__":{"hostile":1},"parts":[{"type":"constructor"}]}]',
        "deep": "[" * 5000 + "]" * 5000,
    }
    item = otlp("cd" * 16, "01" * 8, PAYLOADS[0], events=[(payload, 1, {payload: payload}) for payload in PAYLOADS])
    made = item["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    # The same key twice is allowed by nobody and sent by somebody.
    made["attributes"] = attributes(pairs) + attributes({"twice": 1}) + attributes({"twice": 2})
    _, address = watched.viewing(tmp_path, [item], exporter="otlp")
    page = watched.open(f"{address}#/traces")
    rows(page).first.click()
    rows(page).first.click()
    panel = page.locator(".panel")
    expect(panel.locator(".message").first).to_be_visible()
    unfold(page)
    expect(panel.get_by_text("twice")).to_have_count(2)
    assert page.locator("body").locator(SOLID).count() == 0


def test_a_hostile_answer_of_the_ingest(watched, tmp_path):
    refused = [
        span(f"trace_{n}", f"{n} refuse-this-item", name=payload, type="custom") for n, payload in enumerate(PAYLOADS)
    ]
    spool, address = watched.viewing(tmp_path, [*refused, span("trace_taken", "taken")], validation="none")
    with Ingest("".join(PAYLOADS)) as endpoint:
        spool.drain(endpoint)
    page = watched.open(f"{address}#/rejected")
    expect(rows(page)).to_have_count(len(PAYLOADS))
    page.keyboard.press("Enter")
    for _ in PAYLOADS:
        expect(page.locator(".panel")).to_contain_text("<script>window.hostile=1</script>")
        page.keyboard.press("j")
    assert page.locator("body").locator(SOLID).count() == 0
