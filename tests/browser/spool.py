"""The program from outside: spools that it fills and drains, and the viewer."""

import json
import os
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PROGRAM = os.environ.get("SPANSPOOL_PROGRAM", "spanspool")
ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "OPENAI_API_KEY": "a-key-for-tests"}
DEADLINE_S = 120

# In the text of an item: the ingest of `Ingest` refuses it.
REFUSED = "refuse-this-item"
ANSWER = json.dumps({"error": {"message": "Invalid value <b>here</b>", "type": "invalid_request_error"}})


def run(*arguments, given="", codes=(0,)):
    """Runs the program to its end, and returns what it printed."""
    done = subprocess.run(
        [PROGRAM, *map(str, arguments)],
        input=given,
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        timeout=DEADLINE_S,
    )
    assert done.returncode in codes, (arguments, done.returncode, done.stdout, done.stderr)
    return done.stdout


class Spool:
    def __init__(self, path: Path):
        self.path = path

    def enqueue(self, items, **settings):
        """Puts items into the spool, in a lane whose owner is gone afterwards."""
        given = "".join(f"{item if isinstance(item, str) else json.dumps(item)}\n" for item in items)
        # It waits for a slow disk.
        settings = {"enqueue_timeout_ms": DEADLINE_S * 1000, **settings}
        run("enqueue", "--spool-dir", self.path, *sets(settings), given=given)

    def own(self, **settings):
        """A process that owns a lane, and puts into it what is written to its standard input."""
        return subprocess.Popen(
            [PROGRAM, "enqueue", "--spool-dir", str(self.path), *sets(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            env=ENVIRONMENT,
        )

    def drain(self, endpoint, **settings):
        run("drain", "--spool-dir", self.path, *sets({"endpoint": endpoint, "adopt": "any", **settings}), codes=(0, 1))

    @contextmanager
    def view(self, *more):
        """The viewer while the block runs; gives its address."""
        with self.running(*more) as (_, address):
            yield address

    @contextmanager
    def running(self, *more):
        """The same; gives its process, too."""
        command = [PROGRAM, "view", "--spool-dir", str(self.path), *more]
        viewer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
        try:
            address = viewer.stdout.readline().split()[-1]
            assert address.startswith("http://127.0.0.1:"), address
            yield viewer, address
        finally:
            viewer.kill()
            viewer.wait()
            viewer.stdout.close()

    def picture(self, file, *more):
        """The spool as one file."""
        run("view", "--spool-dir", self.path, "--html", file, *more)
        return Path(file)


def sets(settings):
    return [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]


class Ingest:
    """An ingest that refuses requests with an item that says so, and takes all others."""

    def __init__(self, answer=ANSWER):
        self._answer = answer.encode()

    def __enter__(self):
        answer_when_refused = self._answer

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                refused = REFUSED.encode() in body
                answer = answer_when_refused if refused else b"{}"
                self.send_response(422 if refused else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_port}/v1/traces/ingest"

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
