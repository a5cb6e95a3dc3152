// Spans of OTLP, with the conventions for generative AI: OpenTelemetry's (`gen_ai.*`), those that spell messages out
// (`gen_ai.prompt.0.content`), and OpenInference's (`llm.*`, `input.value`).

import { isStructured, textOf } from '../parts/json.js';
import { attributesOf, spelledOut } from './attributes.js';
import { messagesOf } from './messages.js';

const KINDS = ['unspecified', 'internal', 'server', 'client', 'producer', 'consumer'];
const STATUS_ERROR = 2;
const TOOL_KINDS = ['execute_tool', 'tool', 'function'];

/** See description.js. */
export function describeOtlpSpan({ resource, scope, span = {} }) {
    const attributes = attributesOf(span.attributes);
    const value = firstOf(new Map(attributes));
    const events = (span.events ?? []).map(eventOf);
    const kind = kindOf(span, value);
    const isTool = TOOL_KINDS.includes(kind) || value('gen_ai.tool.name', 'tool.name') !== null;
    return {
        name: textOf(span.name ?? ''),
        kind,
        id: textOf(span.spanId ?? ''),
        parent: span.parentSpanId || null,
        start: nanosToMicros(span.startTimeUnixNano),
        end: nanosToMicros(span.endTimeUnixNano),
        error: errorOfSpan(span, events),
        model: value('gen_ai.response.model', 'gen_ai.request.model', 'llm.model_name', 'embedding.model_name'),
        messages: isTool ? { input: [], output: [] } : messagesOfAttributes(attributes, value, events),
        tool: isTool ? toolOf(value, span) : null,
        tokens: tokensOfAttributes(value),
        sections: [
            ['Attributes', attributes],
            ...(span.links ?? []).map((link) => ['Link', linkOf(link)]),
            ['Resource', attributesOf(resource?.attributes)],
            ['Scope', scopeOf(scope)],
        ],
        events,
    };
}

/** A function that gives the value of the first of some keys that there is, or null. */
function firstOf(byKey) {
    return (...keys) => byKey.get(keys.find((key) => byKey.has(key))) ?? null;
}

function kindOf(span, value) {
    const named = value('gen_ai.operation.name', 'openinference.span.kind');
    if (named !== null) return textOf(named).toLowerCase();
    const kind = span.kind ?? 0;
    return KINDS[kind] ?? textOf(kind).replace('SPAN_KIND_', '').toLowerCase();
}

function messagesOfAttributes(attributes, value, events) {
    const input =
        value('gen_ai.input.messages') ??
        spelledOut(attributes, 'gen_ai.prompt') ??
        spelledOut(attributes, 'llm.input_messages') ??
        eventValue(events, 'gen_ai.input.messages', 'gen_ai.prompt') ??
        value('gen_ai.prompt', 'input.value', 'agent.input', 'traceloop.entity.input');
    const output =
        value('gen_ai.output.messages') ??
        spelledOut(attributes, 'gen_ai.completion') ??
        spelledOut(attributes, 'llm.output_messages') ??
        eventValue(events, 'gen_ai.output.messages', 'gen_ai.completion') ??
        value('gen_ai.completion', 'output.value', 'agent.output', 'traceloop.entity.output');
    const system = value('gen_ai.system_instructions') ?? eventValue(events, 'gen_ai.system_instructions');
    return {
        input: [...messagesOf(system, 'system'), ...messagesOf(input, 'user')],
        output: messagesOf(output, 'assistant'),
    };
}

/** Events carry messages where attributes must stay small. */
function eventValue(events, ...keys) {
    return firstOf(new Map(events.flatMap((event) => event.attributes)))(...keys);
}

function toolOf(value, span) {
    return {
        name: textOf(value('gen_ai.tool.name', 'tool.name') ?? span.name ?? ''),
        arguments: value(
            'gen_ai.tool.call.arguments',
            'tool.parameters',
            'input.value',
            'agent.input',
            'traceloop.entity.input',
        ),
        result: value('gen_ai.tool.call.result', 'output.value', 'agent.output', 'traceloop.entity.output'),
    };
}

function tokensOfAttributes(value) {
    return [
        ['input', value('gen_ai.usage.input_tokens', 'gen_ai.usage.prompt_tokens', 'llm.token_count.prompt')],
        ['cached', value('gen_ai.usage.cache_read.input_tokens', 'llm.token_count.prompt_details.cache_read')],
        ['output', value('gen_ai.usage.output_tokens', 'gen_ai.usage.completion_tokens', 'llm.token_count.completion')],
        ['reasoning', value('gen_ai.usage.reasoning.output_tokens', 'llm.token_count.completion_details.reasoning')],
        ['total', value('gen_ai.usage.total_tokens', 'llm.usage.total_tokens', 'llm.token_count.total')],
    ].filter(([, tokens]) => typeof tokens === 'number');
}

/** An exception that was recorded tells more than the status alone. */
function errorOfSpan({ status }, events) {
    if (status?.code !== STATUS_ERROR && status?.code !== 'STATUS_CODE_ERROR') return null;
    const exception = firstOf(new Map(events.findLast((event) => event.name === 'exception')?.attributes ?? []));
    const message = status.message || exception('exception.message') || 'The status of the span is an error.';
    return { message: textOf(message), data: exception('exception.stacktrace') };
}

function eventOf({ name, timeUnixNano, attributes }) {
    return { name: textOf(name ?? ''), at: nanosToMicros(timeUnixNano), attributes: attributesOf(attributes) };
}

function linkOf({ traceId, spanId, attributes }) {
    return [['traceId', traceId ?? ''], ['spanId', spanId ?? ''], ...attributesOf(attributes)];
}

function scopeOf(scope) {
    if (!isStructured(scope)) return [];
    const named = [
        ['name', scope.name],
        ['version', scope.version],
    ].filter(([, text]) => text);
    return [...named, ...attributesOf(scope.attributes)];
}

function nanosToMicros(nanos) {
    const text = /^\d{1,20}$/.exec(String(nanos ?? ''))?.[0];
    return text && text !== '0' ? Number(BigInt(text) / 1000n) : null;
}
