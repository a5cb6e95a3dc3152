// What stands above a waterfall: which trace it is, and where its time went.

import { copyButton } from '../parts/copy.js';
import { h, said } from '../parts/dom.js';
import { counted, duration, exactTime, percent, time } from '../parts/format.js';
import { stateCounts } from '../parts/state.js';
import { clip } from '../parts/text.js';

const HEADING_CHARS = 300;
const ID_CHARS = 100;
const SHARE_CHARS = 40;

/** The way back to the list. */
export function backLink(address) {
    return h('a', { class: 'back', href: address }, '\u2190 Traces');
}

/** Name, service and id; `openItem` shows the item that the Agents SDK writes for the trace itself, if there is one. */
export function traceTitle(trace, openItem) {
    const { id, name, service, ref } = trace;
    return h(
        'div',
        { class: 'trace-title' },
        h('h1', {}, said(clip(name || id, HEADING_CHARS))),
        service && service !== name && said(clip(service, ID_CHARS), { class: 'muted' }),
        said(clip(id, ID_CHARS), { class: 'mono muted id' }),
        copyButton('id', () => id),
        ref && h('button', { type: 'button', class: 'quiet', onclick: openItem }, 'Trace item'),
    );
}

/** When it began, how long it was, and how many spans it has. `left` says what became of those that left. */
export function traceFacts(spans, left, { from, to }) {
    const errors = spans.filter((span) => span.error).length;
    const rejected = spans.filter((span) => span.state === 'rejected').length;
    const exact = exactTime(from);
    return h(
        'p',
        { class: 'trace-facts' },
        from > 0 && h('time', { title: exact, datetime: exact }, time(from)),
        h('b', {}, duration(to - from)),
        h('span', {}, counted(spans.length, 'span')),
        errors > 0 && h('span', { class: 'bad-text' }, counted(errors, 'error')),
        h('span', { class: 'states' }, stateCounts({ rejected, waiting: spans.length - rejected, ...left })),
    );
}

/** Where the time went: spans, each with its share of the critical path. `select(node)` goes to one. */
export function traceShares(longest, select) {
    if (longest.length === 0) return null;
    const links = longest.map(([node, share]) =>
        h('button', { type: 'button', class: 'link', onclick: () => select(node) }, [
            `${percent(share)} `,
            said(clip(node.span.name || node.span.id, SHARE_CHARS)),
        ]),
    );
    return h('p', { class: 'shares' }, h('span', { class: 'label' }, 'Critical path'), links);
}
