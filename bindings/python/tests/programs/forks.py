"""Processes that share a processor by fork: forks.py HOW SPOOL_DIR ENDPOINT

HOW: fork, multiprocessing-fork, multiprocessing-spawn, prefork, threads.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from multiprocessing.context import ForkProcess, SpawnProcess
from multiprocessing.process import BaseProcess
from typing import Literal

from agents import custom_span, flush_traces, set_trace_processors, trace
from recorder import Recorder

from spanspool import SpoolTraceProcessor


def work(name: str) -> None:
    with trace(name):
        for n in range(20):
            with custom_span(f"{name}-{n}"):
                pass


def set_up() -> None:
    spool_dir, endpoint = sys.argv[2:]
    set_trace_processors([SpoolTraceProcessor(spool_dir=spool_dir, endpoint=endpoint), Recorder()])


def work_in_spawned(name: str) -> None:
    set_up()
    work(name)
    flush_traces()


def fork() -> None:
    """Children that flush, and children that just go."""
    children = []
    for n in range(4):
        child = os.fork()
        if child == 0:
            work(f"child-{n}")
            if n % 2:
                flush_traces()
            os._exit(0)
        children.append(child)
    work("parent")
    for child in children:
        assert os.waitpid(child, 0)[1] == 0


def run_children(how: Literal["fork", "spawn"]) -> None:
    if how == "fork":
        children: list[BaseProcess] = [ForkProcess(target=work, args=(f"child-{n}",)) for n in range(2)]
    else:
        children = [SpawnProcess(target=work_in_spawned, args=("child",))]
    for child in children:
        child.start()
    work("parent")
    for child in children:
        child.join()
        assert child.exitcode == 0


def prefork() -> None:
    """As a web server does it: workers are forked, killed and forked again, and the master traces nothing itself."""
    for n in range(6):
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            work(f"worker-{n}")
            os.write(write, b"done")
            signal.pause()
        os.read(read, 4)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(read)
        os.close(write)


def threads() -> None:
    """Forks while other threads trace."""
    over = threading.Event()

    def trace_on(name: str) -> None:
        while not over.is_set():
            work(name)

    tracing = [threading.Thread(target=trace_on, args=(f"thread-{n}",)) for n in range(2)]
    for thread in tracing:
        thread.start()
    for _ in range(5):
        fork()
    over.set()
    for thread in tracing:
        thread.join()


def main() -> None:
    set_up()
    work("before")
    how = sys.argv[1]
    ways: dict[str, Callable[[], None]] = {
        "fork": fork,
        "multiprocessing-fork": lambda: run_children("fork"),
        "multiprocessing-spawn": lambda: run_children("spawn"),
        "prefork": prefork,
        "threads": threads,
    }
    ways[how]()
    work("after")
    flush_traces()


if __name__ == "__main__":
    main()
