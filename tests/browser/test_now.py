"""Now: lanes, ledger, what moves; and what happens to it while owners live and die."""

import json
import re
import signal

import pytest
from playwright.sync_api import expect

from conftest import viewing
from items import span
from spool import run


def figure(place, label):
    """The figure with a label."""
    named = place.page.locator("dt", has_text=re.compile(rf"{label}$"))
    return place.locator("div:has(> dt)").filter(has=named).locator("dd")


def write(owner, items):
    owner.stdin.write("".join(json.dumps(item) + "\n" for item in items))
    owner.stdin.flush()


def test_the_ledger_and_each_lane_with_its_destination(watched, spool, address):
    page = watched.open(f"{address}#/now")
    totals = json.loads(run("status", "--spool-dir", spool.path, "--json"))
    for label, counter in {"accepted": "accepted", "waiting": "pending", "rejected": "rejected"}.items():
        assert totals[counter] > 0
        expect(figure(page.locator(".ledger"), label)).to_have_text(str(totals[counter]))
    lane = page.get_by_role("listitem").filter(has_text="4318")
    expect(lane).to_contain_text("http://127.0.0.1:4318/v1/traces")
    expect(lane).to_contain_text("no owner")
    expect(lane).to_contain_text('Its process is gone. The next client of this destination, or "spanspool drain"')
    expect(figure(lane, "Waiting")).to_contain_text("7,")


def test_a_spool_that_grows_is_seen_to_grow_and_its_killed_owner_to_be_gone(watched, tmp_path):
    spool, address = watched.viewing(tmp_path, [span("trace_first", "first")])
    page = watched.open(f"{address}#/now")
    waiting = figure(page.locator(".ledger"), "waiting")
    expect(waiting).to_have_text("1")

    owner = spool.own(exporter="none")
    write(owner, [span("trace_more", f"s{n}") for n in range(40)])
    expect(waiting).to_have_text("41")
    expect(page.get_by_text(f"process {owner.pid}")).to_be_visible()
    expect(page.get_by_role("img", name=re.compile("Waiting: now 41"))).to_be_visible()

    # The list of traces follows without being asked.
    page.get_by_role("link", name="Traces", exact=True).click()
    expect(page.locator(".found")).to_have_text("2 traces")
    write(owner, [span("trace_third", "third")])
    expect(page.locator(".found")).to_have_text("3 traces")

    owner.send_signal(signal.SIGKILL)
    owner.wait()
    page.get_by_role("link", name="Now", exact=True).click()
    expect(page.get_by_text(f"process {owner.pid}")).to_have_count(0)
    expect(waiting).to_have_text("42")
    owner.stdin.close()


def test_a_viewer_that_ended_is_said_and_what_was_seen_stays(watched, tmp_path):
    with viewing(tmp_path, [span("trace_first", "first")]) as (_, address):
        page = watched.open(f"{address}#/traces", allowed=["ERR_CONNECTION_", "ERR_EMPTY_RESPONSE"])
        expect(page.locator(".found")).to_have_text("1 trace")
    expect(page.get_by_text('no answer; is "spanspool view" still running?')).to_be_visible()
    expect(page.locator(".pulse")).to_have_text("not live")
    expect(page.locator(".traces [role=row]")).to_have_count(1)


@pytest.mark.parametrize("view", ["now", "traces", "rejected"])
def test_an_empty_spool_says_so(watched, tmp_path, view):
    (tmp_path / "spool").mkdir()
    _, address = watched.viewing(tmp_path)
    page = watched.open(f"{address}#/{view}")
    said = {"now": "No lane yet", "traces": "No traces in the spool", "rejected": "Nothing was rejected."}
    expect(page.get_by_text(said[view])).to_be_visible()
