"""Runs: agent runs with a scripted model, one for each kind of thing that an SDK run leaves in a trace."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any

import httpx2
from agents import (
    Agent,
    GuardrailFunctionOutput,
    InputGuardrailTripwireTriggered,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    RunConfig,
    RunContextWrapper,
    Runner,
    custom_span,
    function_span,
    function_tool,
    generation_span,
    handoff,
    input_guardrail,
    mcp_tools_span,
    response_span,
    speech_group_span,
    speech_span,
    trace,
    transcription_span,
)
from agents.testing import ModelStep, ScriptedModel, assistant_message, function_call
from agents.usage import Usage
from openai import AsyncOpenAI, DefaultAsyncHttpxClient
from openai.types.responses import Response

USAGE = Usage(requests=1, input_tokens=12, output_tokens=7, total_tokens=19)


@function_tool
def weather(city: str) -> str:
    """Tells the weather."""
    return f"sunny in {city} \u2028 \U0001f31e"


@function_tool(failure_error_function=None)
def broken(city: str) -> str:
    """Tells nothing."""
    raise ValueError(f"no weather in {city}")


@input_guardrail
async def no_secrets(context: RunContextWrapper[Any], agent: Agent[Any], text: object) -> GuardrailFunctionOutput:
    return GuardrailFunctionOutput(output_info=None, tripwire_triggered="secret" in str(text))


def agent(*steps: Any, **more: Any) -> Agent[Any]:
    model = ScriptedModel(steps, default_usage=USAGE, emit_traces=True)
    return Agent(name=more.pop("name", "helper"), model=model, **more)


def single(config: RunConfig) -> None:
    Runner.run_sync(agent([assistant_message("hello")]), "hi", run_config=config)


def tools(config: RunConfig) -> None:
    calls = [function_call("weather", {"city": "Zürich"}, call_id="1"), function_call("weather", {}, call_id="2")]
    helper = agent(calls, [assistant_message("sunny")], tools=[weather], model_settings=ModelSettings(temperature=0.5))
    Runner.run_sync(helper, "weather?", run_config=config)


def handoffs(config: RunConfig) -> None:
    expert = agent([assistant_message("done")], name="expert")
    first = agent([function_call("transfer_to_expert", {}, call_id="1")], handoffs=[handoff(expert)])
    Runner.run_sync(first, "help", run_config=config)


def guardrails(config: RunConfig) -> None:
    guarded = agent([assistant_message("yes")], [assistant_message("yes")], input_guardrails=[no_secrets])
    Runner.run_sync(guarded, "an open question", run_config=config)
    try:
        Runner.run_sync(guarded, "a secret", run_config=config)
    except InputGuardrailTripwireTriggered:
        return
    raise AssertionError("the guardrail was not triggered")


def errors(config: RunConfig) -> None:
    failing = [
        agent([function_call("broken", {"city": "Bern"}, call_id="1")], tools=[broken]),
        agent(ModelStep.raise_error(RuntimeError("the model is gone"))),
        agent([function_call("unheard_of", {}, call_id="1")]),
    ]
    for helper in failing:
        try:
            Runner.run_sync(helper, "weather?", run_config=config)
        except Exception:
            continue
        raise AssertionError("the run did not fail")


def streamed(config: RunConfig) -> None:
    async def run() -> None:
        result = Runner.run_streamed(agent([assistant_message("piece by piece")]), "hi", run_config=config)
        async for _ in result.stream_events():
            pass

    asyncio.run(run())


def api_models(config: RunConfig) -> None:
    """The SDK's own models, whose spans hold input and output, with an API that is made up."""
    message = {"role": "assistant", "content": "hello", "reasoning_content": "hm"}
    chat = {
        "id": "chat_1", "object": "chat.completion", "created": 1, "model": "gpt-x",
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
    }  # fmt: skip
    text = {"type": "output_text", "text": "hello", "annotations": []}
    details = {"input_tokens_details": {"cached_tokens": 1}, "output_tokens_details": {"reasoning_tokens": 1}}
    answer = {
        "id": "resp_1", "object": "response", "created_at": 1, "model": "gpt-x", "status": "completed",
        "parallel_tool_calls": False, "tool_choice": "auto", "tools": [],
        "output": [{"id": "m", "type": "message", "role": "assistant", "status": "completed", "content": [text]}],
        "usage": {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7, **details},
    }  # fmt: skip

    def api(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, json=chat if request.url.path.endswith("/chat/completions") else answer)

    async def run() -> None:
        http = DefaultAsyncHttpxClient(transport=httpx2.MockTransport(api))
        async with AsyncOpenAI(api_key="sk-model", base_url="http://api.invalid/v1", http_client=http) as openai:
            for model in (OpenAIChatCompletionsModel("gpt-x", openai), OpenAIResponsesModel("gpt-x", openai)):
                await Runner.run(Agent(name="real", instructions="Be kind.", model=model), "hi", run_config=config)

    asyncio.run(run())


def factories(config: RunConfig) -> None:
    """Each span factory, the voice ones among them, that no scripted run makes use of."""
    audio = "UklGRiQAAABXQVZFZm10IBAAAAABAAEA"
    answer = Response.model_construct(id="resp_1", usage=None)
    metadata = {"agent_harness_id": "h-1", "customer": "ü"}
    with trace("factories", group_id="chat-1", metadata=metadata, tracing=config.tracing):
        with transcription_span(model="gpt-4o-transcribe", input=audio, output="hi", model_config={"language": "de"}):
            pass
        with speech_group_span(input="hello"), speech_span(model="tts-1", input="hello", output=audio) as speech:
            speech.span_data.first_content_at = "2026-11-22T10:48:31.180846+00:00"
        with mcp_tools_span(server="files", result=["read", "write"]), response_span(response=answer):
            pass
        with function_span("f", input='{"a":1}', output="1") as function:
            function.set_error({"message": "not so good", "data": {"code": 1.5}})
        with generation_span(input=[{"role": "user", "content": "x"}], output=[], model="m", usage={"input_tokens": 1}):
            pass
        with custom_span("numbers", {"big": 2**70, "small": 1e-07, "whole": 1.0, "list": [None, True], "": {}}):
            pass


def beyond_json(config: RunConfig) -> None:
    """Values that JSON has no form for, which the SDK leaves out one by one."""
    cycle: dict[str, Any] = {"name": "me"}
    cycle["self"] = cycle
    odd = {"when": datetime(2026, 1, 1), "nan": float("nan"), "half": "\ud83d", 5: "five", None: 0, True: 1, (1, 2): 3}
    with trace("beyond json", metadata={"set": {1}, "kept": "yes"}, tracing=config.tracing):
        with custom_span("odd", {"odd": odd, "cycle": cycle, "tuple": (1, {2}, 3), "fine": "ü"}):
            pass
        with function_span("f", input=b"123456789", output=float("inf")):  # type: ignore[arg-type]
            pass
        with function_span("g", input={1, 2}, output=datetime(2026, 1, 1)):  # type: ignore[arg-type]
            pass


def large(config: RunConfig) -> None:
    """Fields over OpenAI's limit, and what it refuses in a generation."""
    thinking = {"role": "assistant", "content": [{"type": "thinking"}, {"type": "text"}], "reasoning": "r"}
    usage = {"requests": 1, "input_tokens": 1, "output_tokens": 2, "details": {"a": 1}, "none": None}
    with trace("large", metadata={"blob": "m" * 200_000}, tracing=config.tracing):
        with function_span("f", input="ü" * 200_000, output="x" * 100_001):
            pass
        with generation_span(
            input=[{"role": "user", "content": "y" * 300_000}, thinking], output=[thinking], usage=usage
        ):
            pass


SCENARIOS: list[Callable[[RunConfig], None]] = [
    single, tools, handoffs, guardrails, errors, streamed, api_models, factories, beyond_json, large,
]  # fmt: skip
