// The waterfall: a row for each span, nested as they ran, with a bar from beginning to end.

import { criticalPath, gapsBetween, joined, lengthOf } from '../model/critical.js';
import { classOf } from '../model/kinds.js';
import { FLAWS, nest, timesOf, visibleRows } from '../model/tree.js';
import { h, replace, said } from '../parts/dom.js';
import { counted, duration, percent } from '../parts/format.js';
import { VirtualList } from '../parts/list.js';
import { clip } from '../parts/text.js';
import { ticksBetween } from './ticks.js';

/** Deeper spans are not indented further. */
const DEEPEST_INDENT = 20;
/** What is shorter than this part of the view is not drawn by itself. */
const LEAST_PART = 1 / 500;
/** A gap of the whole trace is worth a mark from this part of it on. */
const LEAST_GAP = 1 / 50;
const NAME_CHARS_SHOWN = 160;

/** The waterfall. `on.moved(node)` is called when another row is active, `on.opened(node)` when it is to be shown. */
export function makeWaterfall(on) {
    const scroller = h('div', { class: 'list waterfall', role: 'treegrid', 'aria-label': 'Spans' });
    const ruler = h('div', { class: 'ruler', 'aria-hidden': 'true' });
    const lines = h('div', { class: 'lines', 'aria-hidden': 'true' });
    const element = h('div', { class: 'waterfall-frame' }, ruler, lines, scroller);
    const list = new VirtualList(scroller, makeRow);
    const collapsed = new Set();
    let tree = nest([]);
    let rows = [];
    let pieces = new Map();
    let view = { from: 0, to: 0 };

    function show(spans) {
        const [folded, active] = [new Set([...collapsed].map((node) => node.span.ref)), activeNode()?.span.ref];
        tree = nest(spans);
        pieces = criticalPath(tree);
        collapsed.clear();
        for (const node of tree.order) if (folded.has(node.span.ref)) collapsed.add(node);
        list.active = -1;
        zoomTo(tree);
        if (active !== undefined)
            activate(
                tree.order.find((node) => node.span.ref === active),
                false,
            );
        return tree;
    }

    function zoomTo({ from, to }) {
        view = { from, to: Math.max(to, from + 1) };
        drawRuler();
        refresh();
    }

    function refresh() {
        rows = visibleRows(tree.order, collapsed);
        scroller.setAttribute('aria-rowcount', rows.length);
        list.show(rows.length);
    }

    const partOf = (us) => (us - view.from) / (view.to - view.from);

    function drawRuler() {
        const ticks = ticksBetween(view.from - tree.from, view.to - tree.from);
        const at = (us, element) => placed(element, partOf(us + tree.from), partOf(us + tree.from));
        replace(
            ruler,
            h('span', { class: 'ruler-title' }, 'Span'),
            h(
                'div',
                { class: 'ruler-ticks' },
                ticks.map((us) => at(us, h('span', { class: 'tick' }, us === 0 ? '0' : duration(us)))),
            ),
            h('span', { class: 'ruler-lasted' }, 'Lasts'),
        );
        const gaps = gapsBetween(tree.order, tree.from, tree.to).filter(
            ([from, to]) => to - from > LEAST_GAP * (tree.to - tree.from),
        );
        replace(
            lines,
            h(
                'div',
                { class: 'lines-in' },
                ticks.map((us) => at(us, h('i', { class: 'line' }))),
                gaps.map(([from, to]) =>
                    drawn(from, to, h('i', { class: 'trace-gap', title: `Nothing ran for ${duration(to - from)}` })),
                ),
            ),
        );
    }

    /** `element` placed from one time to another, or null if that is out of view. */
    function drawn(from, to, element) {
        if (to < view.from || from > view.to) return null;
        return placed(element, Math.max(0, partOf(from)), Math.min(1, partOf(to)));
    }

    function makeRow(index) {
        const node = rows[index];
        const { span, depth, children } = node;
        const isFolded = collapsed.has(node);
        const row = h(
            'div',
            {
                class: `row kind-${classOf(span.kind)}${span.error ? ' has-error' : ''}`,
                role: 'row',
                'aria-level': depth + 1,
                'aria-expanded': children.length > 0 ? String(!isFolded) : null,
                'aria-selected': String(index === list.active),
                onclick: () => open(index),
            },
            nameCell(node, isFolded),
            barCell(node),
            h('span', { class: 'lasted', role: 'gridcell' }, lastedText(span)),
        );
        row.style.setProperty('--depth', Math.min(depth, DEEPEST_INDENT));
        return row;
    }

    function nameCell(node, isFolded) {
        const { span, children, flaws, errorsBelow } = node;
        const fold = (event) => {
            event.stopPropagation();
            setFolded(node, !isFolded);
        };
        return h(
            'span',
            { class: 'what', role: 'gridcell' },
            h(
                'span',
                { class: 'twisty', 'aria-hidden': 'true', onclick: children.length > 0 && fold },
                twistyOf(children, isFolded),
            ),
            span.error &&
                h(
                    'span',
                    { class: 'mark bad-text', title: 'Error' },
                    h('span', { class: 'only-heard' }, 'Error: '),
                    h('span', { 'aria-hidden': 'true' }, '\u2716'),
                ),
            said(clip(span.name || span.id, NAME_CHARS_SHOWN), { class: 'name' }),
            h('span', { class: 'muted kind' }, said(clip(span.kind ?? '', 40))),
            isFolded && h('span', { class: 'muted' }, `+${node.size - 1}`),
            isFolded && errorsBelow > 0 && h('span', { class: 'bad-text' }, counted(errorsBelow, 'error')),
            span.state === 'rejected' &&
                h('span', { class: 'mark bad-text', title: 'Rejected by the ingest' }, 'rejected'),
            flaws.length > 0 &&
                h('span', { class: 'mark flaw', title: flaws.map((flaw) => FLAWS[flaw]).join(' ') }, flaws[0]),
        );
    }

    function barCell(node) {
        const times = timesOf(node);
        const cell = h('span', { class: 'bars', role: 'gridcell' });
        if (!times) return cell;
        const [from, to] = times;
        const least = (view.to - view.from) * LEAST_PART;
        const bar = drawn(from, to, h('i', { class: 'bar' }));
        if (!bar) {
            cell.append(h('span', { class: 'muted outside' }, to < view.from ? '\u2190 before' : 'after \u2192'));
            return cell;
        }
        const gaps =
            node.children.length > 0
                ? joined(gapsBetween(node.children, from, to), 0).filter(([a, b]) => b - a > least)
                : [];
        const critical = joined(pieces.get(node) ?? [], least);
        replace(
            cell,
            h(
                'span',
                { class: 'only-heard' },
                `begins at ${duration(from - tree.from)}${critical.length > 0 ? ', on the critical path' : ''}`,
            ),
            bar,
            gaps.map(([a, b]) => drawn(a, b, h('i', { class: 'gap' }))),
            critical.map(([a, b]) => drawn(a, b, h('i', { class: 'critical' }))),
        );
        return cell;
    }

    function activeNode() {
        return rows[list.active];
    }

    function move(index) {
        if (rows.length === 0) return;
        list.activate(index);
        on.moved(activeNode());
    }

    function open(index) {
        list.activate(index);
        on.opened(activeNode());
    }

    /** Makes `node` the active row, and unfolds what it is in. */
    function activate(node, focus = true) {
        if (!node) return;
        for (let above = node.parent; above; above = above.parent) collapsed.delete(above);
        refresh();
        list.activate(rows.indexOf(node), { focus });
    }

    function setFolded(node, folded) {
        if (folded) collapsed.add(node);
        else collapsed.delete(node);
        refresh();
        list.activate(rows.indexOf(node));
    }

    function left() {
        const node = activeNode();
        if (!node) return;
        if (node.children.length > 0 && !collapsed.has(node)) setFolded(node, true);
        else if (node.parent) move(rows.indexOf(node.parent));
    }

    function right() {
        const node = activeNode();
        if (!node) return;
        if (collapsed.has(node)) setFolded(node, false);
        else if (node.children.length > 0) move(list.active + 1);
    }

    /** Goes to the next node that `isMeant`, also below folded ones; after the last one to the first. */
    function next(isMeant) {
        const at = tree.order.indexOf(activeNode());
        const found = tree.order.slice(at + 1).find(isMeant) ?? tree.order.find(isMeant);
        if (!found) return;
        activate(found);
        on.moved(found);
    }

    function toggleZoom() {
        const times = activeNode() && timesOf(activeNode());
        const isZoomed = view.from !== tree.from || view.to !== Math.max(tree.to, tree.from + 1);
        if (isZoomed) zoomTo(tree);
        else if (times && times[1] > times[0]) zoomTo({ from: times[0], to: times[1] });
    }

    /** What the trace knows about a span: see `show` of the panel. */
    function placeOf(node) {
        const times = timesOf(node);
        const critical = lengthOf(pieces.get(node) ?? []);
        return {
            flaws: node.flaws,
            from: tree.from,
            children: node.children.length,
            hasParent: node.parent !== null,
            critical,
            share: critical / Math.max(1, tree.to - tree.from),
            ownTime: times ? lengthOf(gapsBetween(node.children, ...times)) : 0,
        };
    }

    /** The spans on which most of the critical path lies: `[node, share]`. */
    function longest(most) {
        const all = [...pieces].map(([node, parts]) => [node, lengthOf(parts) / Math.max(1, tree.to - tree.from)]);
        return all.sort((a, b) => b[1] - a[1]).slice(0, most);
    }

    const actions = {
        j: () => move(list.active + 1),
        k: () => move(list.active - 1),
        Home: () => move(0),
        End: () => move(rows.length - 1),
        PageDown: () => move(Math.max(list.active, 0) + list.fitting),
        PageUp: () => move(list.active - list.fitting),
        ArrowLeft: left,
        ArrowRight: right,
        Enter: () => open(Math.max(list.active, 0)),
        z: toggleZoom,
        e: () => next((node) => node.span.error),
        c: () => next((node) => pieces.has(node)),
    };
    return {
        element,
        show,
        activate,
        activeNode,
        toggleZoom,
        placeOf,
        longest,
        actions,
        find: (ref) => tree.order.find((node) => node.span.ref === ref),
        focus: () => list.activate(Math.max(list.active, 0)),
    };
}

function twistyOf(children, isFolded) {
    if (children.length === 0) return '';
    return isFolded ? '\u25b8' : '\u25be';
}

function lastedText({ start_us, end_us }) {
    if (start_us === null) return 'no times';
    return end_us === null ? 'no end' : duration(end_us - start_us);
}

/** Sets where an element begins and ends, as parts of the width. */
function placed(element, from, to) {
    element.style.left = `${from * 100}%`;
    element.style.width = `${(to - from) * 100}%`;
    return element;
}

/** "62 % lookup_order". */
export function shareText([node, share]) {
    return [`${percent(share)} `, said(clip(node.span.name || node.span.id, 40))];
}
