// What a span says, section by section.

import { copyButton } from '../parts/copy.js';
import { h, said } from '../parts/dom.js';
import { bytes, count, duration } from '../parts/format.js';
import { isStructured, prettyJson, readable } from '../parts/json.js';
import { longText } from '../parts/long-text.js';
import { clip } from '../parts/text.js';
import { conversation, toolCall } from './conversation.js';

/** Sections with more entries than this begin folded. */
const MOST_UNFOLDED = 40;
const KEY_CHARS = 500;
const VALUE_CHARS = 400;
const RAW_CHARS = 20_000;
/** How many of the texts that were cut are named. */
const MOST_CUT_NAMED = 10;

/**
 * All sections. `answer` is that of `api/span`, `span` its description, `facts` what the trace knows about it, and
 * `rawAddress` where the whole item can be had, or null.
 */
export function spanContent(answer, span, facts, rawAddress) {
    const { input, output } = span.messages;
    return [
        errorBlock(span.error),
        facts,
        tokenFigures(span.tokens),
        span.tool && toolCall(span.tool),
        (input.length > 0 || output.length > 0) && conversation(span.messages),
        eventsSection(span.events, span.start),
        span.sections.map(([title, entries]) => entriesSection(title, entries)),
        rawSection(answer, rawAddress),
    ];
}

function errorBlock(error) {
    if (!error) return null;
    return h(
        'section',
        { class: 'error-block', 'aria-label': 'Error' },
        longText(error.message || 'Error'),
        error.data !== null && longText(readable(error.data), { tag: 'pre', name: 'code' }),
    );
}

function tokenFigures(tokens) {
    if (tokens.length === 0) return null;
    const figures = tokens.map(([label, n]) => h('div', {}, h('dt', {}, label), h('dd', {}, count(n))));
    return h('section', {}, h('h3', {}, 'Tokens'), h('dl', { class: 'figures' }, figures));
}

function eventsSection(events, start) {
    if (events.length === 0) return null;
    const after = (at) => (at === null || start === null ? '' : `+${duration(at - start)} `);
    const items = () =>
        events.map(({ name, at, attributes }) =>
            h(
                'li',
                {},
                h('p', {}, h('span', { class: 'muted' }, after(at)), said(clip(name, KEY_CHARS))),
                entriesList(attributes),
            ),
        );
    return foldable('Events', events.length, () => h('ol', { class: 'events' }, items()));
}

function entriesSection(title, entries) {
    return entries.length === 0 ? null : foldable(title, entries.length, () => entriesList(entries));
}

function entriesList(entries) {
    const rows = entries.map(([key, value]) => [
        h('dt', {}, said(clip(key, KEY_CHARS))),
        h('dd', {}, entryValue(value)),
    ]);
    return h('dl', { class: 'entries' }, rows);
}

function entryValue(value) {
    if (value === null) return h('span', { class: 'muted' }, 'null');
    const text = readable(value);
    const isBlock = isStructured(value) || text.includes('\n');
    const shape = isBlock ? { tag: 'pre', name: 'code' } : { tag: 'div', name: 'value' };
    return longText(text, { ...shape, firstChars: VALUE_CHARS });
}

function rawSection({ item, clipped, bytes: size }, address) {
    const raw = () => [
        clipped.length > 0 && h('p', { class: 'note' }, cutText(clipped)),
        h(
            'p',
            { class: 'buttons' },
            copyButton('JSON', () => prettyJson(item)),
            address && h('a', { href: address, download: true }, 'Download it whole'),
        ),
        longText(prettyJson(item), { tag: 'pre', name: 'code', firstChars: RAW_CHARS, firstLines: Infinity }),
    ];
    return foldableSection(`Raw JSON (${bytes(size)})`, false, raw);
}

function cutText(clipped) {
    const named = clipped.slice(0, MOST_CUT_NAMED).map(({ path, bytes: size }) => `${path} (${bytes(size)})`);
    const others = clipped.length > named.length ? ' and others' : '';
    return `Cut here for their length: ${named.join(', ')}${others}.`;
}

/** A section with so many entries. */
function foldable(title, entries, content) {
    return foldableSection(`${title} (${count(entries)})`, entries <= MOST_UNFOLDED, content);
}

/** A section that makes its content when it is first unfolded. */
function foldableSection(title, isOpen, content) {
    const details = h('details', { open: isOpen, ontoggle: fill }, h('summary', {}, h('h3', {}, title)));
    if (isOpen) fill();
    return details;

    function fill() {
        const isEmpty = details.childElementCount === 1;
        if (details.open && isEmpty) details.append(h('div', { class: 'folded' }, content()));
    }
}
