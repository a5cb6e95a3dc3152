// Items of the OpenAI Agents SDK.

import { isStructured, textOf } from '../parts/json.js';
import { messagesOf } from './messages.js';

/** What the page shows in places of its own, so that it isn't told twice. */
const SHOWN_ELSEWHERE = ['type', 'name', 'input', 'output', 'usage', 'model', 'response'];

/** See description.js. */
export function describeAgentsSpan(item) {
    const data = isStructured(item.span_data) ? item.span_data : {};
    const isTool = data.type === 'function';
    return {
        name: textOf(data.name ?? item.workflow_name ?? data.type ?? ''),
        kind: textOf(data.type ?? item.object ?? ''),
        id: textOf(item.id ?? ''),
        parent: typeof item.parent_id === 'string' ? item.parent_id : null,
        start: microseconds(item.started_at),
        end: microseconds(item.ended_at),
        error: errorOf(item.error),
        model: data.model ?? data.response?.model ?? null,
        messages: isTool ? { input: [], output: [] } : messagesOfSpan(data),
        tool: isTool ? { name: data.name, arguments: data.input ?? null, result: data.output ?? null } : null,
        tokens: tokensOf(data.usage ?? data.data?.usage ?? data.response?.usage),
        sections: sectionsOf(item, data),
        events: [],
    };
}

function messagesOfSpan({ type, input, output, response }) {
    const spoken = type === 'transcription' || type === 'speech';
    return {
        input: spoken ? spokenMessages(input) : messagesOf(input, 'user'),
        output: spoken ? spokenMessages(output) : messagesOf(output ?? response?.output, 'assistant'),
    };
}

/** Speech is `{data, format}`, the data in base64: nothing to read. */
function spokenMessages(given) {
    if (!isStructured(given)) return messagesOf(given);
    const size = typeof given.data === 'string' ? Math.floor((given.data.length * 3) / 4) : 0;
    const label = ['audio', given.format, `${size} bytes`].filter(Boolean).join(', ');
    return [{ role: '', parts: [{ type: 'media', label }] }];
}

function sectionsOf(item, data) {
    const attributes = Object.entries(data).filter(([key, value]) => value !== null && !SHOWN_ELSEWHERE.includes(key));
    const metadata = isStructured(item.metadata) ? Object.entries(item.metadata) : [];
    const group = item.group_id ? [['group_id', item.group_id]] : [];
    return [
        ['Attributes', attributes],
        ['Metadata', [...group, ...metadata]],
    ];
}

function errorOf(error) {
    if (error === null || error === undefined) return null;
    return isStructured(error)
        ? { message: textOf(error.message ?? ''), data: error.data ?? null }
        : { message: textOf(error), data: null };
}

function tokensOf(usage) {
    if (!isStructured(usage)) return [];
    return [
        ['input', usage.input_tokens ?? usage.prompt_tokens],
        ['cached', usage.input_tokens_details?.cached_tokens ?? usage.cached_input_tokens],
        ['output', usage.output_tokens ?? usage.completion_tokens],
        ['reasoning', usage.output_tokens_details?.reasoning_tokens],
        ['total', usage.total_tokens],
    ].filter(([, tokens]) => typeof tokens === 'number');
}

/** The microseconds of an ISO 8601 time; `Date` alone knows milliseconds only. */
function microseconds(text) {
    const ms = Date.parse(text);
    if (Number.isNaN(ms)) return null;
    const [, below = ''] = /\.\d{3}(\d{1,3})/.exec(text) ?? [];
    return ms * 1000 + Number(below.padEnd(3, '0'));
}
