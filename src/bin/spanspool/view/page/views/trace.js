// A trace: what it was, where its time went, its spans as a waterfall, and the one that is looked at.

import { announce } from '../parts/announce.js';
import { copyButton } from '../parts/copy.js';
import { h, replace, said } from '../parts/dom.js';
import { count, counted, duration, exactTime, time } from '../parts/format.js';
import { follow, note, routeTo } from '../parts/route.js';
import { stateCounts } from '../parts/state.js';
import { clip } from '../parts/text.js';
import { makeSpanPanel } from './span.js';
import { makeWaterfall, shareText } from './waterfall.js';

const PAGE_SPANS = 5000;
/** A larger trace is read again only when the reader asks for it. */
const MOST_READ_AGAIN = 5000;
const MOST_SHARES = 4;

/** The view of the trace that the address names; `back` is the address that Esc leads to. */
export function makeTraceView(source, route, back) {
    const key = route.key;
    const head = h('div', { class: 'trace-head' });
    const waterfall = makeWaterfall({ moved, opened: (node) => openPanel(node, isNarrow()) });
    const panel = makeSpanPanel(source, { close: closePanel, zoom: waterfall.toggleZoom, selectParent });
    const split = h('div', { class: 'split' }, waterfall.element, panel.element);
    const element = h('div', { class: 'view' }, head, split);
    let trace = null;
    let version = null;
    let isReading = false;
    let isClosed = false;
    panel.element.hidden = true;
    read();

    async function read() {
        isReading = true;
        try {
            await readAll();
        } catch (error) {
            showProblem(error);
        }
        isReading = false;
    }

    async function readAll() {
        const spans = [];
        do {
            const page = await source.trace(key, spans.length, PAGE_SPANS);
            if (isClosed) return;
            trace = page;
            spans.push(...page.spans);
            if (page.spans.length === 0) break;
            if (spans.length < page.total) showProgress(spans.length, page.total);
        } while (spans.length < trace.total);
        showTrace(spans);
    }

    function showProgress(read, total) {
        if (read === PAGE_SPANS) replace(head, h('p', { class: 'muted' }, `Reading ${count(total)} spans\u2026`));
    }

    function showProblem(error) {
        const gone =
            error.status === 404 ? 'This trace is not in the spool, or no longer: it may have been delivered. ' : '';
        replace(head, backLink(), h('p', { class: 'note bad' }, `${gone}${error.message}`));
    }

    function showTrace(spans) {
        const isFirst = head.querySelector('h1') === null;
        const tree = waterfall.show(spans);
        const errors = spans.filter((span) => span.error).length;
        replace(
            head,
            backLink(),
            title(),
            h(
                'p',
                { class: 'trace-facts' },
                tree.to > 0 &&
                    h('time', { title: exactTime(tree.from), datetime: exactTime(tree.from) }, time(tree.from)),
                h('span', {}, h('b', {}, duration(tree.to - tree.from))),
                h('span', {}, counted(spans.length, 'span')),
                errors > 0 && h('span', { class: 'bad-text' }, counted(errors, 'error')),
                h('span', {}, stateCounts(statesOf(spans, trace))),
            ),
            shares(),
            trace.trouble && h('p', { class: 'note bad', dir: 'auto' }, trace.trouble),
            spans.length === 0 &&
                h('p', { class: 'note' }, 'Its spans were delivered, and are no longer in the spool.'),
        );
        if (isFirst) {
            document.title = `${clip(trace.name || trace.id, 60)} \u00b7 spanspool`;
            announce(`${counted(spans.length, 'span')}, ${counted(errors, 'error')}`);
            openLinked();
        }
    }

    function backLink() {
        return h('a', { class: 'back', href: back }, '\u2190 Traces');
    }

    function title() {
        return h(
            'div',
            { class: 'trace-title' },
            h('h1', {}, said(clip(trace.name || trace.id, 300))),
            trace.service && trace.service !== trace.name && said(clip(trace.service, 100), { class: 'muted' }),
            said(clip(trace.id, 100), { class: 'mono muted id' }),
            copyButton('id', () => trace.id),
            trace.ref && h('button', { type: 'button', class: 'quiet', onclick: openItem }, 'Trace item'),
        );
    }

    /** Where the time went: the spans with the largest parts of the critical path. */
    function shares() {
        const longest = waterfall.longest(MOST_SHARES);
        if (longest.length === 0) return null;
        return h(
            'p',
            { class: 'shares' },
            h('span', { class: 'label' }, 'Critical path'),
            longest.map((each) =>
                h('button', { type: 'button', class: 'link', onclick: () => select(each[0]) }, shareText(each)),
            ),
        );
    }

    function openLinked() {
        const linked = waterfall.find(route.params.get('span'));
        if (linked) select(linked);
        else waterfall.focus();
    }

    function select(node) {
        waterfall.activate(node);
        openPanel(node, false);
    }

    function selectParent() {
        const parent = waterfall.activeNode()?.parent;
        if (!parent) return;
        waterfall.activate(parent);
        openPanel(parent, true);
    }

    function moved(node) {
        if (!panel.element.hidden) openPanel(node, isNarrow());
    }

    function openPanel(node, focus) {
        reveal();
        panel.show(node.span.ref, node.span, waterfall.placeOf(node));
        note(routeTo('trace', key, { span: node.span.ref }));
        if (focus) panel.focus();
    }

    function openItem() {
        reveal();
        panel.show(trace.ref, { ...trace, ref: trace.ref, kind: 'trace' }, null);
        panel.focus();
    }

    function reveal() {
        panel.element.hidden = false;
        split.classList.add('shows-panel');
    }

    function closePanel() {
        panel.element.hidden = true;
        split.classList.remove('shows-panel');
        note(routeTo('trace', key));
        waterfall.focus();
    }

    /** The panel lies over the waterfall then. */
    function isNarrow() {
        return getComputedStyle(panel.element).position === 'fixed';
    }

    function update(now) {
        const hasChanged = version !== null && now.version !== version;
        version = now.version;
        if (hasChanged && trace && !isReading && trace.total <= MOST_READ_AGAIN) read();
    }

    const actions = {
        ...waterfall.actions,
        Enter: () => {
            const node = waterfall.activeNode();
            if (node) openPanel(node, true);
            else waterfall.actions.Enter();
        },
        Escape: () => (panel.element.hidden ? follow(back) : closePanel()),
    };
    return {
        element,
        title: 'Trace',
        update,
        actions,
        focus: waterfall.focus,
        close: () => {
            isClosed = true;
        },
    };
}

/** How many spans wait, were rejected, and were seen here before they were delivered. */
function statesOf(spans, { delivered = 0 }) {
    const rejected = spans.filter((span) => span.state === 'rejected').length;
    return { rejected, waiting: spans.length - rejected, delivered };
}
