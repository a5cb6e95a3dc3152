// What kind of work a span is, for its colour: of the many names that the conventions have for it, one of a few.

const CLASSES = {
    model: [
        'generation',
        'response',
        'chat',
        'text_completion',
        'generate_content',
        'embeddings',
        'embedding',
        'llm',
        'transcription',
        'speech',
        'reranker',
    ],
    tool: ['function', 'execute_tool', 'tool', 'mcp_tools', 'retriever', 'retrieval'],
    agent: ['agent', 'invoke_agent', 'create_agent', 'handoff', 'guardrail', 'evaluator'],
};

/** "model", "tool", "agent" or "other". */
export function classOf(kind) {
    return Object.keys(CLASSES).find((name) => CLASSES[name].includes(kind)) ?? 'other';
}
