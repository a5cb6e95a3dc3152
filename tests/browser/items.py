"""Items: of the Agents SDK and of OTLP, as programs write them and as an attacker would."""

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "tests/fixtures/agents-sdk-sample.ndjson"
OTLP_SAMPLE = ROOT / "src/bin/spanspool/demo/items.otlp.ndjson"
BEGIN = datetime(2026, 11, 22, 12, 0, tzinfo=timezone.utc)


def lines(path):
    # Not splitlines: texts in the items have line ends of Unicode.
    return path.read_text(encoding="utf-8").strip("\n").split("\n")


def at(ms):
    """A time of the Agents SDK, so many milliseconds after the beginning."""
    return (BEGIN + timedelta(milliseconds=ms)).isoformat(timespec="microseconds")


def trace(trace_id, name, **more):
    return {"object": "trace", "id": trace_id, "workflow_name": name, "group_id": None, "metadata": None, **more}


def span(trace_id, span_id, parent=None, begin=0, end=10, error=None, **data):
    data = data or {"type": "custom", "name": span_id, "data": {}}
    return {
        "object": "trace.span",
        "id": span_id,
        "trace_id": trace_id,
        "parent_id": parent,
        "started_at": at(begin) if isinstance(begin, (int, float)) else begin,
        "ended_at": at(end) if isinstance(end, (int, float)) else end,
        "span_data": data,
        "error": error,
    }


# Refused by the ingest of spool.py, which looks for this text.
REFUSED_ITEM = span("trace_refused", "refused", type="function", name="refund", input="refuse-this-item", output=None)


def tool_trace(trace_id="trace_tool", name="Order desk"):
    """A run as the Agents SDK writes it: an agent, two generations, and a tool that fails between them."""
    question = [
        {"role": "system", "content": "You are the desk of a shop."},
        {"role": "user", "content": "Where is order 4711?"},
    ]
    call = {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": "call_1",
                "type": "function",
                "function": {"name": "lookup_order", "arguments": '{"order": 9223372036854775808}'},
            }
        ],
    }
    result = {"role": "tool", "tool_call_id": "call_1", "content": '{"status": "in transit"}'}
    answer = {"role": "assistant", "content": "It is in transit."}
    usage = {"input_tokens": 1536, "output_tokens": 125, "input_tokens_details": {"cached_tokens": 768}}
    failed = {"message": "The carrier did not answer", "data": {"after_s": 3}}
    return [
        trace(trace_id, name, metadata={"customer": "c-17"}),
        span(trace_id, "agent", None, 0, 1000, type="agent", name="Desk", tools=["lookup_order"], handoffs=[]),
        span(trace_id, "ask", "agent", 10, 300, type="generation", model="gpt-5", input=question, output=[call]),
        span(
            trace_id, "look", "agent", 310, 600, failed,
            type="function", name="lookup_order",
            input='{"order": 9223372036854775808}', output='{"status": "in transit"}',
        ),
        span(
            trace_id, "tell", "agent", 800, 990,
            type="generation", model="gpt-5", usage=usage, input=[*question, call, result], output=[answer],
        ),
    ]  # fmt: skip


def any_value(value):
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    return {"stringValue": value if isinstance(value, str) else json.dumps(value)}


def attributes(pairs):
    return [{"key": key, "value": any_value(value)} for key, value in pairs.items()]


def otlp(trace_id, span_id, name, begin=0, end=10, parent="", service="shop", events=(), status=None, **more):
    """An export request with one span. Attributes have dots in their names: they come as `attributes`."""
    nanos = lambda ms: str(int(BEGIN.timestamp() * 1000 + ms) * 1_000_000)  # noqa: E731
    made = {
        "traceId": trace_id,
        "spanId": span_id,
        "parentSpanId": parent,
        "name": name,
        "kind": 1,
        "startTimeUnixNano": nanos(begin),
        "endTimeUnixNano": nanos(end),
        "attributes": attributes(more.get("attributes", {})),
        "events": [
            {"name": event, "timeUnixNano": nanos(when), "attributes": attributes(pairs)}
            for event, when, pairs in events
        ],
        "status": status or {},
    }
    scope = {"scope": {"name": "shop.tracer", "version": "2"}, "spans": [made]}
    return {
        "resourceSpans": [{"resource": {"attributes": attributes({"service.name": service})}, "scopeSpans": [scope]}]
    }


SAID = "Where is order 4711?"
ANSWERED = "It is in transit."
TOOL_ARGUMENTS = {"order": 4711}

GENAI = {
    "gen_ai.operation.name": "chat",
    "gen_ai.response.model": "gpt-5",
    "gen_ai.system_instructions": [{"type": "text", "content": "You are the desk of a shop."}],
    "gen_ai.input.messages": [
        {"role": "user", "parts": [{"type": "text", "content": SAID}]},
        {
            "role": "assistant",
            "parts": [{"type": "tool_call", "id": "c1", "name": "lookup_order", "arguments": TOOL_ARGUMENTS}],
        },
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": {"status": "in transit"}}]},
    ],
    "gen_ai.output.messages": [{"role": "assistant", "parts": [{"type": "text", "content": ANSWERED}]}],
    "gen_ai.usage.input_tokens": 412,
    "gen_ai.usage.output_tokens": 57,
}
SPELLED_OUT = {
    "gen_ai.prompt.0.role": "user",
    "gen_ai.prompt.0.content": SAID,
    "gen_ai.prompt.1.role": "assistant",
    "gen_ai.prompt.1.tool_calls.0.id": "c1",
    "gen_ai.prompt.1.tool_calls.0.name": "lookup_order",
    "gen_ai.prompt.1.tool_calls.0.arguments": json.dumps(TOOL_ARGUMENTS),
    "gen_ai.prompt.2.role": "tool",
    "gen_ai.prompt.2.tool_call_id": "c1",
    "gen_ai.prompt.2.content": '{"status": "in transit"}',
    "gen_ai.completion.0.role": "assistant",
    "gen_ai.completion.0.content": ANSWERED,
    "gen_ai.usage.prompt_tokens": 412,
    "gen_ai.usage.completion_tokens": 57,
}
OPENINFERENCE = {
    "openinference.span.kind": "LLM",
    "llm.model_name": "gpt-5",
    "llm.input_messages.0.message.role": "user",
    "llm.input_messages.0.message.contents.0.message_content.type": "text",
    "llm.input_messages.0.message.contents.0.message_content.text": SAID,
    "llm.input_messages.1.message.role": "assistant",
    "llm.input_messages.1.message.tool_calls.0.tool_call.id": "c1",
    "llm.input_messages.1.message.tool_calls.0.tool_call.function.name": "lookup_order",
    "llm.input_messages.1.message.tool_calls.0.tool_call.function.arguments": json.dumps(TOOL_ARGUMENTS),
    "llm.input_messages.2.message.role": "tool",
    "llm.input_messages.2.message.tool_call_id": "c1",
    "llm.input_messages.2.message.content": '{"status": "in transit"}',
    "llm.output_messages.0.message.role": "assistant",
    "llm.output_messages.0.message.content": ANSWERED,
    "llm.token_count.prompt": 412,
    "llm.token_count.completion": 57,
}
CONVENTIONS = {"genai": GENAI, "spelled-out": SPELLED_OUT, "openinference": OPENINFERENCE}


def shop_trace(trace_id="ab" * 16):
    """A request of a service with an agent in it, as OpenTelemetry writes it."""
    ids = [f"{n:02x}" * 8 for n in range(1, 8)]
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "lookup_order"}
    tool |= {"gen_ai.tool.call.arguments": '{"order":4711}', "gen_ai.tool.call.result": '{"status":"in transit"}'}
    thrown = ("exception", 1870, {"exception.type": "TimeoutError", "exception.stacktrace": "Traceback:\n  in track"})
    query = {"db.system.name": "postgresql", "db.query.text": "SELECT * FROM orders\nWHERE id = $1"}
    agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "desk"}
    first = {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 312, "gen_ai.usage.output_tokens": 24}
    return [
        otlp(
            trace_id, ids[0], "POST /chat", 0, 3200, attributes={"http.request.method": "POST", "http.route": "/chat"}
        ),
        otlp(trace_id, ids[1], "invoke_agent desk", 20, 3150, ids[0], attributes=agent),
        otlp(trace_id, ids[2], "chat gpt-5", 40, 900, ids[1], attributes=first),
        otlp(trace_id, ids[3], "execute_tool lookup_order", 950, 1900, ids[1], attributes=tool),
        otlp(trace_id, ids[4], "SELECT orders", 980, 1500, ids[3], attributes=query),
        otlp(
            trace_id,
            ids[5],
            "GET carrier",
            1520,
            1880,
            ids[3],
            events=[thrown],
            status={"code": 2, "message": "HTTP 504"},
        ),
        otlp(trace_id, ids[6], "chat gpt-5", 2300, 3120, ids[1], attributes=GENAI),
    ]


# Each would set window.hostile, load something or hide the page if it were taken for more than a text.
PAYLOADS = [
    "<script>window.hostile=1</script>",
    "<img src=x onerror=window.hostile=1>",
    "javascript:window.hostile=1",
    '"><svg onload=window.hostile=1>',
    "</script></textarea><script>window.hostile=1</script>",
    "<!--<script>window.hostile=1//-->",
    "<iframe src=https://evil.example/></iframe>",
    "<style>*{display:none}</style>",
    "<link rel=stylesheet href=https://evil.example/a.css>",
    "<base href=https://evil.example/>",
    "<a href=https://evil.example/ ping=https://evil.example/>here</a>",
    "{{constructor.constructor('window.hostile=1')()}}",
    "${window.hostile=1}",
    "__proto__",
    "constructor",
    "hasOwnProperty",
    "\u202egpj.exe",
    "\u2066\u2067left\u2069",
    "a\u200bb\ufeffc\u00add",
    "nul\u0000 bell\u0007 esc\u001b[31mred",
    "line\u2028paragraph\u2029",
    "smuggled\U000e0041\U000e0042",
    "%00%0d%0a../../etc/passwd",
    "'; DROP TABLE spans; --",
]


def hostile_spans(trace_id, payload):
    """A trace in which every text is `payload`."""
    message = [{"role": payload, "content": payload}, {"role": "user", "content": [{"type": payload, "text": payload}]}]
    call = {"role": "assistant", "tool_calls": [{"id": payload, "function": {"name": payload, "arguments": payload}}]}
    error = {"message": payload, "data": {payload: payload}}
    data = {"model": payload, payload: {payload: payload}}
    return [
        trace(trace_id, payload, group_id=payload, metadata={payload: payload}),
        span(trace_id, payload, None, 0, 100, error, type=payload, name=payload, **data),
        span(
            trace_id, f"1{payload}", payload, 0, 50, type="generation", input=[*message, call], output=message, **data
        ),
        span(
            trace_id,
            f"2{payload}",
            payload,
            50,
            90,
            error,
            type="function",
            name=payload,
            input=payload,
            output=payload,
        ),
        span(trace_id, f"3{payload}", payload, 50, 90, type="response", input=payload, response={"output": message}),
    ]


def broken_tree(trace_id="trace_broken"):
    """Every rule of a tree and of times, broken."""
    return [
        trace(trace_id, "Broken"),
        span(trace_id, "root", None, 0, 1000),
        span(trace_id, "orphan", "nowhere", 10, 20),
        span(trace_id, "self", "self", 20, 30),
        span(trace_id, "ring-a", "ring-c", 30, 60),
        span(trace_id, "ring-b", "ring-a", 35, 55),
        span(trace_id, "ring-c", "ring-b", 40, 50),
        span(trace_id, "twin", "root", 100, 200),
        span(trace_id, "twin", "root", 150, 250),
        span(trace_id, "of-twin", "twin", 160, 170),
        span(trace_id, "backwards", "root", 400, 300),
        span(trace_id, "instant", "root", 500, 500),
        span(trace_id, "before", "root", -500, -400),
        span(trace_id, "timeless", "root", None, None),
        span(trace_id, "no-time", "root", "yesterday", "\u0000"),
        span(trace_id, "ancient", "root", "1970-01-01T00:00:00+00:00", "1970-01-01T00:00:01+00:00"),
        span(trace_id, "far-off", "root", "9999-12-31T23:59:59.999999+00:00", "9999-12-31T23:59:59.999999+00:00"),
    ]
