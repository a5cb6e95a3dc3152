"""An agent's run as OpenTelemetry spans that cannot get lost: agent_otlp.py SPOOL_DIR ENDPOINT

ENDPOINT is a receiver of OTLP, such as http://localhost:4318. It needs spanspool[opentelemetry], openai-agents and
openinference-instrumentation-openai-agents, which makes spans of what the SDK traces.
"""

import sys

from agents import Agent, RunConfig, Runner, function_tool
from agents.testing import ScriptedModel, assistant_message, function_call
from openinference.instrumentation.openai_agents import OpenAIAgentsInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from spanspool.opentelemetry import SpoolSpanProcessor


@function_tool
def weather(city: str) -> str:
    """Tells the weather of a city."""
    return f"sunny in {city}"


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit("usage: agent_otlp.py SPOOL_DIR ENDPOINT")
    provider = TracerProvider(resource=Resource.create({"service.name": "forecaster"}))
    provider.add_span_processor(SpoolSpanProcessor(sys.argv[1], endpoint=sys.argv[2]))
    # It takes the place of the SDK's own exporter.
    OpenAIAgentsInstrumentor().instrument(tracer_provider=provider)

    # A model from a script, so that the example needs no key; leave `model` out to ask a real one.
    ask = function_call("weather", {"city": "Zurich"}, call_id="call_1")
    model = ScriptedModel([[ask], [assistant_message("It is sunny in Zurich.")]], emit_traces=True)
    agent = Agent(name="forecaster", tools=[weather], model=model)
    result = Runner.run_sync(agent, "How is the weather in Zurich?", run_config=RunConfig(workflow_name="weather"))
    print(result.final_output)
    # At the program's end the provider delivers for 5 seconds. What is left stays in the spool.


if __name__ == "__main__":
    main()
