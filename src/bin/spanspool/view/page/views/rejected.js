// Rejected: what the ingest refused, why, and how to send it again.

import { announce } from '../parts/announce.js';
import { copyButton } from '../parts/copy.js';
import { h, replace, said } from '../parts/dom.js';
import { counted, exactTime, time } from '../parts/format.js';
import { readable } from '../parts/json.js';
import { VirtualList } from '../parts/list.js';
import { longText } from '../parts/long-text.js';
import { Pages } from '../parts/pages.js';
import { follow, note, routeTo } from '../parts/route.js';
import { clip } from '../parts/text.js';

const PAGE_REJECTED = 200;
const REASON_CHARS = 200;

/** The view. The item that is looked at is in the address. */
export function makeRejectedView(source, route) {
    const found = h('p', { class: 'found' });
    const scroller = h('div', { class: 'list rejected', role: 'grid', 'aria-label': 'Rejected items' });
    const list = new VirtualList(scroller, makeRow, (first, last) => pages.want(first, last));
    const pages = new Pages(PAGE_REJECTED, load, pageIsThere);
    const panel = h('aside', { class: 'panel scrolls', tabindex: '-1', 'aria-label': 'Rejected item', hidden: true });
    const split = h('div', { class: 'split' }, scroller, panel);
    const element = h(
        'div',
        { class: 'view' },
        h('h1', { class: 'only-heard' }, 'Rejected'),
        h('div', { class: 'toolbar' }, found),
        split,
    );
    let linked = route.key;
    let rejected = null;
    let isAnnounced = false;
    pages.reset();

    async function load(offset, limit) {
        const { total, rows } = await source.rejected(offset, limit);
        return { total, rows };
    }

    function pageIsThere(error) {
        const total = pages.total ?? 0;
        replace(found, error ? `The rejected items can't be read: ${error.message}` : foundText(total));
        list.show(total);
        if (!isAnnounced && !error) announce(counted(total, 'rejected item'));
        isAnnounced = true;
        openLinked();
    }

    function foundText(total) {
        if (total === 0) return 'Nothing was rejected.';
        const until = 'Each stays here until it is put back by the command shown with it, or purged.';
        return `${counted(total, 'rejected item')}. ${until}`;
    }

    function openLinked() {
        if (linked === '') return;
        for (let index = 0; index < Math.min(list.total, PAGE_REJECTED); index += 1) {
            if (pages.at(index)?.ref !== linked) continue;
            linked = '';
            open(index);
            return;
        }
    }

    function makeRow(index) {
        const row = pages.at(index);
        const cell = (name, ...children) => h('span', { class: name, role: 'gridcell' }, children);
        if (!row) return h('div', { class: 'row awaited', role: 'row' }, cell('what', '\u2026'));
        return h(
            'div',
            { class: 'row', role: 'row', 'aria-selected': String(index === list.active), onclick: () => open(index) },
            cell('status', statusChip(row)),
            cell(
                'what',
                said(clip(row.name || row.id, REASON_CHARS), { class: 'name' }),
                said(clip(row.reason, REASON_CHARS), { class: 'muted' }),
            ),
            cell('began', row.time_ms === null ? '' : time(row.time_ms * 1000)),
        );
    }

    function open(index) {
        list.activate(index);
        const row = pages.at(index);
        if (!row) return;
        panel.hidden = false;
        split.classList.add('shows-panel');
        replace(panel, contentOf(row, close));
        panel.scrollTop = 0;
        note(routeTo('rejected', row.ref));
        if (getComputedStyle(panel).position === 'fixed') focusPanel();
    }

    function focusPanel() {
        panel.querySelector('h2').focus({ preventScroll: true });
    }

    function close() {
        panel.hidden = true;
        split.classList.remove('shows-panel');
        note(routeTo('rejected'));
        focusRow();
    }

    function focusRow() {
        list.rowElement(Math.max(list.active, 0))?.focus({ preventScroll: true });
    }

    function move(index) {
        list.activate(index);
        if (!panel.hidden) open(list.active);
    }

    function update(now) {
        const count = now.lanes.reduce((sum, lane) => sum + lane.ledger.rejected, 0);
        if (rejected !== null && count !== rejected) pages.renew(...list.view);
        rejected = count;
    }

    const actions = {
        j: () => move(list.active + 1),
        k: () => move(list.active - 1),
        Home: () => move(0),
        End: () => move(list.total - 1),
        Enter: () => {
            open(Math.max(list.active, 0));
            if (!panel.hidden) focusPanel();
        },
        Escape: () => (panel.hidden ? follow(routeTo('traces')) : close()),
    };
    return { element, title: 'Rejected', update, actions, focus: focusRow };
}

function statusChip({ status }) {
    return h('span', { class: 'chip state-rejected' }, status ? `HTTP ${status}` : 'no answer');
}

function contentOf(row, close) {
    return [
        h(
            'header',
            { class: 'panel-head' },
            h('h2', { tabindex: '-1' }, said(clip(row.name || row.id, 500))),
            h(
                'button',
                { type: 'button', class: 'quiet close', onclick: close, 'aria-label': 'Close the item' },
                '\u2715',
            ),
            h(
                'p',
                { class: 'chips' },
                statusChip(row),
                row.trace_key !== null &&
                    h('a', { href: routeTo('trace', row.trace_key, { span: row.ref }) }, 'Show it in its trace'),
            ),
        ),
        h('section', {}, h('h3', {}, 'Why'), longText(row.reason, { name: 'prose' })),
        h(
            'section',
            {},
            h('h3', {}, "The ingest's answer"),
            row.answer
                ? longText(readable(row.answer), { tag: 'pre', name: 'code' })
                : h('p', { class: 'muted' }, 'It had no text.'),
        ),
        h(
            'section',
            {},
            h('h3', {}, 'To send it again'),
            h('p', { class: 'muted' }, 'After the cause is mended, this puts it back into the spool:'),
            h('pre', { class: 'code' }, row.command),
            copyButton('command', () => row.command),
        ),
        h(
            'dl',
            { class: 'facts' },
            [
                ['Id', said(row.id, { class: 'mono' })],
                ['Lane', said(row.lane, { class: 'mono' })],
                row.items > 1 && ['Items', String(row.items)],
                row.time_ms !== null && ['Rejected at', exactTime(row.time_ms * 1000)],
            ]
                .filter(Boolean)
                .map(([label, value]) => [h('dt', {}, label), h('dd', {}, value)]),
        ),
    ];
}
