// The messages of a model, whatever they were written as: Chat Completions, Responses, or the parts of OpenTelemetry's
// GenAI conventions. A message is `{role, parts}`; a part is one of
//   {type: 'text' | 'reasoning' | 'refusal', text}
//   {type: 'call', id, name, arguments}
//   {type: 'result', id, value}
//   {type: 'media', label}
//   {type: 'json', value}      what none of these is

import { isStructured, parseIfStructured, textOf } from '../parts/json.js';

const TEXTS = new Map(
    Object.entries({
        text: 'text',
        input_text: 'text',
        output_text: 'text',
        summary_text: 'text',
        refusal: 'refusal',
        reasoning: 'reasoning',
        thinking: 'reasoning',
    }),
);
const CALLS = ['tool_call', 'tool_use', 'function_call', 'function'];
const RESULTS = ['tool_call_response', 'tool_result', 'function_call_output'];
const MEDIA = ['image', 'input_image', 'image_url', 'input_audio', 'audio', 'blob', 'uri', 'file', 'input_file'];

/** The messages in `value`: a list, one message, or a text that is either as JSON. */
export function messagesOf(value, role = '') {
    const given = parseIfStructured(value) ?? value;
    if (given === null || given === undefined || given === '') return [];
    const list = Array.isArray(given) ? given : [given];
    return list.map((message) => messageOf(message, role)).filter((message) => message.parts.length > 0);
}

function messageOf(given, role) {
    if (!isStructured(given)) return { role, parts: [text(textOf(given))] };
    const message = isStructured(given.message) ? given.message : given;
    // A list of messages or of bare parts: Responses and GenAI's system instructions have both in one list.
    if (typeof message.role !== 'string') return { role: roleOf(message, role), parts: [partOf(message)].flat() };
    const answersCall = message.tool_call_id ?? null;
    const content = partsOf(message.parts ?? message.contents ?? message.content, answersCall);
    return { role: message.role, parts: [...content, ...besides(message)] };
}

function roleOf({ type }, role) {
    if (RESULTS.includes(type)) return 'tool';
    return CALLS.includes(type) || type === 'reasoning' ? 'assistant' : role;
}

function partsOf(content, answersCall) {
    if (content === null || content === undefined || content === '') return [];
    if (answersCall !== null) return [{ type: 'result', id: answersCall, value: content }];
    const given = typeof content === 'string' ? [content] : [content].flat();
    return given.flatMap((part) => partOf(part));
}

/** What Chat Completions has next to the content. */
function besides({ tool_calls, function_call, refusal, reasoning_content, audio }) {
    return [
        typeof reasoning_content === 'string' ? [{ type: 'reasoning', text: reasoning_content }] : [],
        typeof refusal === 'string' ? [{ type: 'refusal', text: refusal }] : [],
        isStructured(tool_calls) ? Object.values(tool_calls).map(callOf) : [],
        isStructured(function_call) ? [callOf(function_call)] : [],
        isStructured(audio) ? [{ type: 'media', label: 'audio' }] : [],
    ].flat();
}

function partOf(given) {
    if (!isStructured(given)) return text(textOf(given));
    const part = isStructured(given.message_content) ? given.message_content : given;
    if (TEXTS.has(part.type)) return textPart(TEXTS.get(part.type), part);
    if (CALLS.includes(part.type)) return callOf(part);
    if (RESULTS.includes(part.type)) {
        const value = part.response ?? part.result ?? part.output ?? part.content ?? null;
        return { type: 'result', id: part.id ?? part.call_id ?? part.tool_use_id ?? null, value };
    }
    if (MEDIA.includes(part.type)) return { type: 'media', label: mediaLabel(part) };
    return { type: 'json', value: part };
}

function textPart(type, part) {
    const said = part.text ?? part.content ?? part.refusal ?? part.thinking ?? part.summary ?? '';
    if (typeof said === 'string') return said === '' ? [] : { type, text: said };
    const texts = [said].flat().map((each) => (isStructured(each) ? textOf(each.text ?? each) : textOf(each)));
    return texts.map((each) => ({ type, text: each }));
}

function callOf(given) {
    const call = isStructured(given?.tool_call) ? given.tool_call : given;
    const what = isStructured(call?.function) ? call.function : call;
    if (!isStructured(what)) return { type: 'json', value: given };
    const id = call.call_id ?? call.id ?? null;
    return { type: 'call', id, name: textOf(what.name ?? ''), arguments: what.arguments ?? what.input ?? null };
}

function mediaLabel(part) {
    const format = part.mime_type ?? part.mimeType ?? part.modality ?? part.media_type ?? '';
    return [part.type.replace('input_', '').replace('_url', ''), textOf(format)].filter(Boolean).join(', ');
}

function text(said) {
    return { type: 'text', text: said };
}

/** The names of the tools that were called, by the ids of the calls. */
export function callNames(messages) {
    const calls = messages.flatMap((message) => message.parts).filter((part) => part.type === 'call');
    return new Map(calls.map((call) => [call.id, call.name]));
}
