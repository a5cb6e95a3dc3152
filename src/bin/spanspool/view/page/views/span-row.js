// A row of the waterfall: the span's name, its bar, and how long it was.

import { gapsBetween, joined } from '../model/critical.js';
import { classOf } from '../model/kinds.js';
import { FLAWS, timesOf } from '../model/tree.js';
import { h, said } from '../parts/dom.js';
import { counted, duration } from '../parts/format.js';
import { clip } from '../parts/text.js';

/** Deeper spans are not indented further. */
const DEEPEST_INDENT = 20;
/** What is shorter than this part of the scale is not drawn by itself. */
const LEAST_PART = 1 / 500;
const NAME_CHARS = 160;
const KIND_CHARS = 40;

/**
 * The row of a node. `drawn` says how: `scale`, `origin` (the beginning of the trace), `critical` (the node's pieces of
 * the critical path), `isFolded`, `isActive`, and what happens: `open()`, `fold()`.
 */
export function spanRow(node, drawn) {
    const { span, depth, children } = node;
    const attributes = {
        class: `row kind-${classOf(span.kind)}${span.error ? ' has-error' : ''}`,
        role: 'row',
        'aria-level': depth + 1,
        'aria-expanded': children.length > 0 && String(!drawn.isFolded),
        'aria-selected': String(drawn.isActive),
        onclick: drawn.open,
    };
    const lasted = h('span', { class: 'lasted', role: 'gridcell' }, lastedText(span));
    const row = h('div', attributes, nameCell(node, drawn), barCell(node, drawn), lasted);
    row.style.setProperty('--depth', Math.min(depth, DEEPEST_INDENT));
    return row;
}

function nameCell(node, { isFolded, fold }) {
    const { span, size, flaws, errorsBelow } = node;
    const name = said(clip(span.name || span.id, NAME_CHARS), { class: 'name' });
    const kind = h('span', { class: 'muted kind' }, said(clip(span.kind ?? '', KIND_CHARS)));
    const below = [
        h('span', { class: 'muted' }, `+${size - 1}`),
        errorsBelow > 0 && h('span', { class: 'bad-text' }, counted(errorsBelow, 'error')),
    ];
    return h('span', { class: 'what', role: 'gridcell' }, [
        twisty(node, isFolded, fold),
        span.error && errorMark(),
        name,
        kind,
        isFolded && below,
        span.state === 'rejected' && h('span', { class: 'mark bad-text', title: 'The ingest refused it' }, 'rejected'),
        flaws.length > 0 && flawMark(flaws),
    ]);
}

/** Folds for the pointer; the keyboard has its arrows, and a screen reader is told by the row. */
function twisty({ children }, isFolded, fold) {
    const sign = isFolded ? '\u25b8' : '\u25be';
    const foldOnly = (event) => {
        event.stopPropagation();
        fold();
    };
    const isLeaf = children.length === 0;
    return h(
        'span',
        { class: 'twisty', 'aria-hidden': 'true', onclick: isLeaf ? null : foldOnly },
        isLeaf ? null : sign,
    );
}

function errorMark() {
    const heard = h('span', { class: 'only-heard' }, 'Error: ');
    return h('span', { class: 'mark bad-text', title: 'Error' }, heard, h('span', { 'aria-hidden': 'true' }, '\u2716'));
}

function flawMark(flaws) {
    return h('span', { class: 'mark flaw', title: flaws.map((flaw) => FLAWS[flaw]).join(' ') }, flaws[0]);
}

function barCell(node, drawn) {
    const times = timesOf(node);
    const content = times === null ? null : (barOf(node, times, drawn) ?? outsideMark(times, drawn.scale));
    return h('span', { class: 'bars', role: 'gridcell' }, content);
}

/** The bar, what is pale in it because none of its children ran, and the critical path. `null` if it is out of view. */
function barOf(node, [from, to], { scale, origin, critical }) {
    const bar = scale.place(h('i', { class: 'bar' }), from, to);
    if (!bar) return null;
    const least = scale.length * LEAST_PART;
    const gaps = node.children.length > 0 ? gapsBetween(node.children, from, to) : [];
    const place = (pieces, name) => pieces.map(([start, end]) => scale.place(h('i', { class: name }), start, end));
    const heard = `begins at ${duration(from - origin)}${critical.length > 0 ? ', on the critical path' : ''}`;
    return [
        h('span', { class: 'only-heard' }, heard),
        bar,
        place(
            gaps.filter(([start, end]) => end - start > least),
            'gap',
        ),
        place(joined(critical, least), 'critical'),
    ];
}

function outsideMark([, to], scale) {
    return h('span', { class: 'muted outside' }, to < scale.from ? '\u2190 before' : 'after \u2192');
}

function lastedText({ start_us, end_us }) {
    if (start_us === null) return 'no times';
    return end_us === null ? 'no end' : duration(end_us - start_us);
}
