// Messages as a conversation: who said what, which tools were called with what, and what they answered.

import { callNames } from '../model/messages.js';
import { h, replace, said } from '../parts/dom.js';
import { counted } from '../parts/format.js';
import { readable } from '../parts/json.js';
import { longText } from '../parts/long-text.js';

/** Of a long conversation, the last messages come first: they are what the span is about. */
const FIRST_SHOWN = 30;
const STEP_SHOWN = 100;

/** The messages given to the model, and those that it answered. */
export function conversation({ input, output }) {
    const names = callNames([...input, ...output]);
    return h(
        'section',
        { class: 'conversation', 'aria-label': 'Conversation' },
        input.length > 0 && [h('h3', {}, 'Input'), messageList(input, names)],
        output.length > 0 && [h('h3', {}, 'Output'), messageList(output, names)],
    );
}

function messageList(messages, names) {
    const list = h('ol', { class: 'messages' });
    show(FIRST_SHOWN);
    return list;

    function show(most) {
        const hidden = Math.max(0, messages.length - most);
        const more = () => show(most + STEP_SHOWN);
        replace(
            list,
            hidden > 0 &&
                h(
                    'li',
                    {},
                    h(
                        'button',
                        { type: 'button', class: 'quiet', onclick: more },
                        `Show ${counted(hidden, 'earlier message')}`,
                    ),
                ),
            messages.slice(hidden).map((message) => messageItem(message, names)),
        );
    }
}

const ROLES = ['system', 'developer', 'user', 'assistant', 'tool'];

function messageItem({ role, parts }, names) {
    const known = ROLES.includes(role) ? role : 'other';
    return h(
        'li',
        { class: `message role-${known}` },
        role && said(role, { class: 'role' }),
        parts.map((part) => (PARTS[part.type] ?? PARTS.json)(part, names)),
    );
}

const PARTS = {
    text: ({ text }) => longText(readable(text)),
    refusal: ({ text }) => labelled('refusal', '', longText(text)),
    reasoning: ({ text }) => labelled('reasoning', '', longText(text, { name: 'prose reasoning' })),
    media: ({ label }) => h('p', { class: 'media' }, said(label)),
    json: ({ value }) => codeBlock(value),
    call: (call) => labelled('calls', call.name, call.arguments === null ? null : codeBlock(call.arguments)),
    result: ({ id, value }, names) => labelled('result of', names.get(id) ?? id ?? 'a call', codeBlock(value)),
};

function labelled(label, name, content) {
    const what = typeof name === 'string' ? name : readable(name);
    return h(
        'div',
        { class: 'part' },
        h('p', { class: 'part-label' }, label, what && [' ', said(what, { class: 'tool-name' })]),
        content,
    );
}

function codeBlock(value) {
    return longText(readable(value), { tag: 'pre', name: 'code' });
}

/** A tool's call by itself, as the span of the tool has it. */
export function toolCall({ name, arguments: given, result }) {
    return h(
        'section',
        { class: 'conversation', 'aria-label': 'Tool call' },
        h('h3', {}, 'Arguments'),
        given === null ? h('p', { class: 'muted' }, 'None recorded.') : codeBlock(given),
        h('h3', {}, 'Result'),
        result === null ? h('p', { class: 'muted' }, 'None recorded.') : codeBlock(result),
        name && h('p', { class: 'only-heard' }, `of ${readable(name)}`),
    );
}
