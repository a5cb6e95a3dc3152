"""An agent's run whose trace cannot get lost: agent_run.py SPOOL_DIR ENDPOINT"""

import sys

from agents import Agent, RunConfig, Runner, function_tool, set_trace_processors
from agents.testing import ScriptedModel, assistant_message, function_call

from spanspool import SpoolTraceProcessor


@function_tool
def weather(city: str) -> str:
    """Tells the weather of a city."""
    return f"sunny in {city}"


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit("usage: agent_run.py SPOOL_DIR ENDPOINT")
    set_trace_processors([SpoolTraceProcessor(spool_dir=sys.argv[1], endpoint=sys.argv[2])])

    # A model from a script, so that the example needs no key; leave `model` out to ask a real one.
    ask = function_call("weather", {"city": "Zurich"}, call_id="call_1")
    model = ScriptedModel([[ask], [assistant_message("It is sunny in Zurich.")]], emit_traces=True)
    agent = Agent(name="forecaster", tools=[weather], model=model)
    result = Runner.run_sync(agent, "How is the weather in Zurich?", run_config=RunConfig(workflow_name="weather"))
    print(result.final_output)
    # At the program's end the SDK gives its processors 5 seconds. What is not delivered by then stays in the spool.


if __name__ == "__main__":
    main()
