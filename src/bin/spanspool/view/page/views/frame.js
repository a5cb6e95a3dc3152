// What is around every view: the name of the spool, the ways to the views, and what the reader has to know.

import { liveRegion } from '../parts/announce.js';
import { h, replace, setText } from '../parts/dom.js';
import { count, time } from '../parts/format.js';
import { routeTo } from '../parts/route.js';

const VIEWS = [
    ['now', 'Now'],
    ['traces', 'Traces'],
    ['rejected', 'Rejected'],
];

/** The page's frame. `{show(view, element, title), update(now), lose(error), openHelp()}`. */
export function makeFrame(isLive) {
    const counts = new Map(VIEWS.map(([view]) => [view, h('span', { class: 'count' })]));
    const links = new Map(VIEWS.map(([view, name]) => [view, h('a', { href: routeTo(view) }, name, counts.get(view))]));
    const place = h('bdi', { class: 'place' });
    const pulse = h('span', { class: 'pulse' });
    const notes = h('div', { class: 'notes' });
    const main = h('main', { id: 'main', tabindex: '-1' });
    const help = makeHelp();
    document.body.replaceChildren(
        h('a', { class: 'skip', href: '#main', onclick: skip }, 'Skip to the content'),
        h(
            'header',
            { class: 'head' },
            h('div', { class: 'brand' }, h('strong', {}, 'spanspool'), place),
            h('nav', { 'aria-label': 'Views' }, [...links.values()]),
            h(
                'div',
                { class: 'aside' },
                pulse,
                h('button', { type: 'button', class: 'quiet', 'aria-label': 'Keys', onclick: openHelp }, '?'),
            ),
        ),
        notes,
        main,
        help,
        liveRegion(),
    );
    let problem = null;

    function skip(event) {
        event.preventDefault();
        main.focus();
    }

    function openHelp() {
        help.showModal();
    }

    /** Shows a view's element; `view` is the way that it belongs to. */
    function show(view, element, title) {
        for (const [name, link] of links) {
            if (name === view) link.setAttribute('aria-current', 'page');
            else link.removeAttribute('aria-current');
        }
        document.title = title ? `${title} \u00b7 spanspool` : 'spanspool';
        main.replaceChildren(element);
    }

    function update(now) {
        problem = null;
        setText(place, now.spool_dir);
        place.title = now.spool_dir;
        setCount(
            'rejected',
            now.lanes.reduce((sum, lane) => sum + lane.ledger.rejected, 0),
        );
        setText(pulse, isLive ? 'live' : `as of ${time(now.time_ms * 1000)}`);
        pulse.className = isLive ? 'pulse beats' : 'pulse';
        showNotes(now);
    }

    function setCount(view, n) {
        setText(counts.get(view), n > 0 ? count(n) : '');
    }

    /** The data can't be had; what is shown stays. */
    function lose(error) {
        problem = error.message;
        pulse.className = 'pulse';
        setText(pulse, 'not live');
        showNotes(null);
    }

    function showNotes(now) {
        const loading = now?.loading;
        const given = [
            problem && ['bad', `The spool can't be seen: ${problem}`],
            loading && !loading.done && ['', loadingText(loading)],
            loading?.note && ['', loading.note],
        ].filter(Boolean);
        const text = JSON.stringify(given);
        if (notes.dataset.shown === text) return;
        notes.dataset.shown = text;
        replace(
            notes,
            given.map(([kind, said]) => h('p', { class: `note ${kind}`, dir: 'auto' }, said)),
        );
    }

    return { show, update, lose, openHelp };
}

function loadingText({ items, of_items }) {
    return `Reading the spool: ${count(items)} of ${of_items === null ? 'many' : count(of_items)} items so far.`;
}

const KEYS = [
    ['j, k', 'next, previous row; the arrows do the same'],
    ['Enter', 'open'],
    ['Esc', 'back'],
    ['/', 'search'],
    ['\u2190, \u2192', 'fold, unfold a span'],
    ['z', 'zoom to a span, and back'],
    ['c', 'next span of the critical path'],
    ['e', 'next span with an error'],
    ['Home, End', 'first, last row'],
    ['1, 2, 3', 'now, traces, rejected'],
    ['?', 'these keys'],
];

function makeHelp() {
    const rows = KEYS.map(([keys, what]) => [h('dt', {}, h('kbd', {}, keys)), h('dd', {}, what)]);
    return h(
        'dialog',
        { class: 'help', 'aria-labelledby': 'help-title' },
        h('h2', { id: 'help-title' }, 'Keys'),
        h('dl', {}, rows),
        h('form', { method: 'dialog' }, h('button', { class: 'quiet' }, 'Close')),
    );
}
