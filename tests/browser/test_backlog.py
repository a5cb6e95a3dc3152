"""A backlog as large as they come: what is seen at once, and whether the list moves smoothly. For `view::long`."""

import os
import time
from pathlib import Path
from statistics import median

from playwright.sync_api import expect

from conftest import row, rows
from spool import Spool

SPANS = 3_000_000
TRACES = SPANS // 10
MOST_MIB = 200
# On a machine with other things to do, a debug build takes minutes for what a release build reads in seconds.
LOADED_MS = 1_800_000

# Moves the list by so many pixels in each frame, and gives the times between frames in milliseconds.
SCROLL = """
([step, frames]) => new Promise((done) => {
    const list = document.querySelector('.list');
    const times = [];
    requestAnimationFrame(function next(now) {
        times.push(now);
        list.scrollTop += step;
        if (times.length <= frames) requestAnimationFrame(next);
        else done(times.slice(1).map((time, at) => time - times[at]));
    });
})
"""
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0].startTime"


def peak_mib(process):
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) // 1024 for line in status.splitlines() if line.startswith("VmHWM:"))


def test_a_backlog_of_three_million_spans(watched):
    print(f"\nload of the machine: {os.getloadavg()[0]:.1f}")
    viewer, address = watched.running(Spool(Path(os.environ["SPANSPOOL_BACKLOG"])))
    begun = time.monotonic()
    page = watched.open(f"{address}#/traces")
    expect(rows(page).first).to_be_visible()
    print(f"painted after {page.evaluate(PAINTED):.0f} ms, traces after {time.monotonic() - begun:.2f} s")
    # What is not loaded yet is said, and so is that there is more than what is looked at.
    note = page.locator(".notes")
    expect(note).to_contain_text("Reading the spool: ")
    expect(note).to_contain_text("of 3,000,000 items so far")
    print(note.inner_text())
    scroll(page, "while it is loaded", 40)
    expect(note).to_be_empty(timeout=LOADED_MS)
    print(f"loaded after {time.monotonic() - begun:.1f} s")
    page.get_by_role("button", name="The spool changed").click()
    expect(page.locator(".found")).to_have_text(f"{TRACES:,} traces")
    for step in (10, 40, 200, 3000):
        scroll(page, f"{step} pixels a frame", step)
    page.keyboard.press("End")
    expect(row(page, "lookup 0")).to_be_focused()
    page.keyboard.press("Enter")
    expect(rows(page)).to_have_count(10)
    peak = peak_mib(viewer)
    print(f"{peak} MiB of memory at most")
    assert peak <= MOST_MIB


def scroll(page, how, step, frames=240):
    times = page.evaluate(SCROLL, [step, frames])
    print(f"{how}: {median(times):.1f} ms a frame, at worst {max(times):.1f} ms")
