// A span: everything that it says.

import { FLAWS } from '../model/tree.js';
import { describe } from '../model/description.js';
import { copyButton } from '../parts/copy.js';
import { h, replace, said } from '../parts/dom.js';
import { bytes, count, duration, exactTime, percent } from '../parts/format.js';
import { isStructured, prettyJson, readable } from '../parts/json.js';
import { longText } from '../parts/long-text.js';
import { routeTo } from '../parts/route.js';
import { stateChip } from '../parts/state.js';
import { clip } from '../parts/text.js';
import { conversation, toolCall } from './conversation.js';

/** A reader who steps through spans shall not ask for each. */
const SETTLE_MS = 60;
const TITLE_CHARS = 500;
/** Sections with more entries than this begin folded. */
const MOST_UNFOLDED = 40;

/**
 * The panel. `show(ref, row, place)` fills it: `row` is the span as the list of spans has it, `place` what the trace
 * knows about it, or null. `on` has `close`, `zoom` and `selectParent`.
 */
export function makeSpanPanel(source, on) {
    const element = h('aside', { class: 'panel scrolls', tabindex: '-1', 'aria-label': 'Span' });
    let timer = 0;
    let wanted = null;

    function show(ref, row, place) {
        wanted = ref;
        element.scrollTop = 0;
        put(known(row, place, 'Reading it\u2026'));
        clearTimeout(timer);
        timer = setTimeout(() => fill(ref, row, place), SETTLE_MS);
    }

    async function fill(ref, row, place) {
        const content = await contentOrWhyNot(ref, row, place);
        if (wanted === ref) put(content);
    }

    async function contentOrWhyNot(ref, row, place) {
        try {
            return contentOf(await source.span(ref), row, place);
        } catch (error) {
            const gone = error.status === 404 ? 'The item is no longer in the spool. ' : '';
            return known(row, place, gone + error.message);
        }
    }

    /** What can be said without the item. */
    function known(row, place, why) {
        return [headOf(row, null), place && factsOf(row, place, null), h('p', { class: 'note' }, why)];
    }

    /** Shows `content`. A focus that was in the panel stays in it. */
    function put(content) {
        const hadFocus = element.contains(document.activeElement);
        replace(element, content);
        if (hadFocus) focus();
    }

    function contentOf(answer, row, place) {
        const span = describe(answer);
        return [
            headOf(row, span),
            place && place.flaws.map((flaw) => h('p', { class: 'note' }, FLAWS[flaw])),
            errorBlock(span.error),
            place && factsOf(row, place, span),
            tokensOfSpan(span.tokens),
            span.tool && toolCall(span.tool),
            hasMessages(span) && conversation(span.messages),
            eventsOfSpan(span.events, span.start),
            span.sections.map(([title, entries]) => entriesSection(title, entries)),
            rawSection(answer, source.rawAddress(answer.ref)),
        ];
    }

    function headOf(row, span) {
        return h(
            'header',
            { class: 'panel-head' },
            h('h2', { tabindex: '-1' }, said(clip(row.name || row.kind || row.id, TITLE_CHARS))),
            h(
                'button',
                { type: 'button', class: 'quiet close', onclick: on.close, 'aria-label': 'Close the span' },
                '\u2715',
            ),
            h(
                'p',
                { class: 'chips' },
                h('span', { class: 'chip' }, said(clip(span?.kind || row.kind || 'span', 60))),
                stateChip(row.state),
                span?.model && h('span', { class: 'chip' }, said(clip(readable(span.model), 80))),
                row.state === 'rejected' && h('a', { href: routeTo('rejected', row.ref) }, 'Why it was rejected'),
            ),
        );
    }

    function factsOf(row, place, span) {
        const { start_us, end_us } = row;
        const facts = [
            [
                'Begins',
                start_us === null
                    ? 'unknown'
                    : [`+${duration(start_us - place.from)} `, h('span', { class: 'muted' }, exactTime(start_us))],
            ],
            ['Lasts', start_us === null || end_us === null ? 'unknown' : duration(end_us - start_us)],
            place.children > 0 && ['Own time', duration(place.ownTime)],
            place.critical > 0 && [
                'Critical path',
                `${duration(place.critical)}, ${percent(place.share)} of the trace`,
            ],
            ['Id', said(clip(row.id, TITLE_CHARS), { class: 'mono' })],
            row.parent && ['Parent', parentLink(row.parent, place.hasParent)],
            row.service && ['Service', said(clip(row.service, TITLE_CHARS))],
            ['Lane', [said(row.lane, { class: 'mono' }), ', ', bytes(row.bytes)]],
        ];
        return h(
            'dl',
            { class: 'facts' },
            facts.filter(Boolean).map(([label, value]) => [h('dt', {}, label), h('dd', {}, value)]),
            h(
                'dd',
                { class: 'buttons' },
                start_us !== null &&
                    end_us > start_us &&
                    h('button', { type: 'button', class: 'quiet', onclick: on.zoom }, 'Zoom to it'),
                span && copyButton('id', () => row.id),
            ),
        );
    }

    function parentLink(parent, isThere) {
        const id = said(clip(parent, TITLE_CHARS), { class: 'mono' });
        return isThere ? h('button', { type: 'button', class: 'link', onclick: on.selectParent }, id) : id;
    }

    function focus() {
        (element.querySelector('h2') ?? element).focus({ preventScroll: true });
    }
    return { element, show, focus };
}

function hasMessages({ messages }) {
    return messages.input.length > 0 || messages.output.length > 0;
}

function errorBlock(error) {
    if (!error) return null;
    return h(
        'section',
        { class: 'error-block', 'aria-label': 'Error' },
        longText(error.message || 'Error', { name: 'prose error-message' }),
        error.data !== null && longText(readable(error.data), { tag: 'pre', name: 'code' }),
    );
}

function tokensOfSpan(tokens) {
    if (tokens.length === 0) return null;
    return h(
        'section',
        { 'aria-label': 'Tokens' },
        h('h3', {}, 'Tokens'),
        h(
            'dl',
            { class: 'figures' },
            tokens.map(([label, n]) => h('div', {}, h('dt', {}, label), h('dd', {}, count(n)))),
        ),
    );
}

function eventsOfSpan(events, start) {
    if (events.length === 0) return null;
    const folded = events.length > MOST_UNFOLDED;
    return foldable(`Events (${count(events.length)})`, !folded, () =>
        h(
            'ol',
            { class: 'events' },
            events.map(({ name, at, attributes }) =>
                h(
                    'li',
                    {},
                    h(
                        'p',
                        {},
                        h(
                            'span',
                            { class: 'muted mono' },
                            at !== null && start !== null ? `+${duration(at - start)}` : '',
                        ),
                        ' ',
                        said(clip(name, TITLE_CHARS)),
                    ),
                    entriesList(attributes),
                ),
            ),
        ),
    );
}

function entriesSection(title, entries) {
    if (entries.length === 0) return null;
    return foldable(`${title} (${count(entries.length)})`, entries.length <= MOST_UNFOLDED, () => entriesList(entries));
}

function entriesList(entries) {
    return h(
        'dl',
        { class: 'entries' },
        entries.map(([key, value]) => [h('dt', {}, said(clip(key, TITLE_CHARS))), h('dd', {}, entryValue(value))]),
    );
}

function entryValue(value) {
    if (value === null) return h('span', { class: 'muted' }, 'null');
    const text = readable(value);
    const isBlock = isStructured(value) || text.includes('\n');
    return longText(text, { tag: isBlock ? 'pre' : 'div', name: isBlock ? 'code' : 'value', firstChars: 400 });
}

function rawSection({ item, clipped, bytes: size }, address) {
    const text = () => prettyJson(item);
    const cut = (clipped ?? []).map(({ path, bytes: whole }) => `${path}: ${bytes(whole)}`);
    return foldable(`Raw JSON (${bytes(size)})`, false, () => [
        cut.length > 0 &&
            h(
                'p',
                { class: 'note' },
                `Cut here for their length: ${cut.slice(0, 10).join(', ')}${cut.length > 10 ? ' and others' : ''}.`,
            ),
        h(
            'p',
            { class: 'buttons' },
            copyButton('JSON', text),
            address && h('a', { href: address, download: true }, 'Download it whole'),
        ),
        longText(text(), { tag: 'pre', name: 'code', firstChars: 20_000 }),
    ]);
}

/** A section that makes its content when it is first unfolded. */
function foldable(title, isOpen, content) {
    const details = h('details', { open: isOpen, ontoggle: fill }, h('summary', {}, h('h3', {}, title)));
    if (isOpen) fill();
    return details;

    function fill() {
        if (details.open && details.childElementCount === 1) details.append(h('div', { class: 'folded' }, content()));
    }
}
