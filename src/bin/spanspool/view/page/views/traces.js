// Traces: all that are in the spool, newest first, with search and filters.

import { announce } from '../parts/announce.js';
import { h, replace, said, setText } from '../parts/dom.js';
import { count, counted, duration, exactTime, parseDuration, time } from '../parts/format.js';
import { VirtualList } from '../parts/list.js';
import { Pages } from '../parts/pages.js';
import { follow, note, routeTo } from '../parts/route.js';
import { stateCounts } from '../parts/state.js';
import { clip } from '../parts/text.js';

const PAGE_ROWS = 200;
const TYPING_MS = 150;
const NAME_CHARS = 200;

/** The view. Its filters are in the address. */
export function makeTracesView(source, route) {
    const filter = makeFilter(route.params, filtered);
    const found = h('span', { class: 'found' });
    const newer = h(
        'button',
        { type: 'button', class: 'newer', hidden: true, onclick: showNewer },
        'The spool changed. Show it as it is now',
    );
    const empty = h('p', { class: 'empty', hidden: true });
    const scroller = h('div', { class: 'list traces', role: 'grid', 'aria-label': 'Traces, newest first' });
    const list = new VirtualList(scroller, makeRow, (first, last) => pages.want(first, last));
    const pages = new Pages(PAGE_ROWS, load, pageIsThere);
    const element = h(
        'div',
        { class: 'view' },
        h('h1', { class: 'only-heard' }, 'Traces'),
        h('div', { class: 'toolbar' }, filter.element, found, newer),
        h(
            'div',
            { class: 'traces-head', 'aria-hidden': 'true' },
            ['Began', 'Trace', 'Duration', 'Spans', 'Errors', 'Items'].map((title) => h('span', {}, title)),
        ),
        scroller,
        empty,
    );
    let version = null;
    let isAnnounced = false;
    pages.reset();

    async function load(offset, limit) {
        const { total, traces, version: loaded } = await source.traces({ ...filter.query(), offset, limit });
        version = loaded;
        return { total, rows: traces };
    }

    function pageIsThere(error) {
        const total = pages.total ?? 0;
        setText(found, error ? '' : counted(total, 'trace'));
        empty.hidden = !error && total > 0;
        replace(empty, error ? `The traces can't be read: ${error.message}` : emptyText());
        list.show(total);
        if (!isAnnounced && !error) announce(counted(total, 'trace'));
        isAnnounced = true;
    }

    function emptyText() {
        return filter.isSet()
            ? 'No trace matches.'
            : 'No traces in the spool: everything was delivered, or nothing came yet.';
    }

    function filtered() {
        note(routeTo('traces', '', filter.params()));
        isAnnounced = false;
        list.active = -1;
        pages.reset();
    }

    function showNewer() {
        newer.hidden = true;
        pages.renew(...list.view);
        list.activate(0);
    }

    /** Rows don't move under a reader who is further down: who is at the top sees what is new. */
    function update(now) {
        if (now.version === version || version === null) return;
        const isReading = !list.isAtTop || list.active > 0;
        if (isReading) newer.hidden = false;
        else pages.renew(...list.view);
    }

    function makeRow(index) {
        const trace = pages.at(index);
        return trace
            ? traceRow(trace, () => (list.active = index))
            : h('div', { class: 'row awaited', role: 'row' }, h('span', { role: 'gridcell' }, '\u2026'));
    }

    function open() {
        const trace = pages.at(Math.max(list.active, 0));
        if (trace) follow(routeTo('trace', trace.key));
    }

    const actions = {
        j: () => list.activate(list.active + 1),
        k: () => list.activate(list.active - 1),
        Home: () => list.activate(0),
        End: () => list.activate(list.total - 1),
        PageDown: () => list.activate(Math.max(list.active, 0) + list.fitting),
        PageUp: () => list.activate(list.active - list.fitting),
        Enter: open,
        '/': () => filter.focus(),
        Escape: () => filter.leave(() => list.activate(list.active)),
    };
    return {
        element,
        title: 'Traces',
        update,
        actions,
        focus: () => list.activate(Math.max(list.active, 0)),
        /** Where the reader comes back to. */
        address: () => routeTo('traces', '', filter.params()),
    };
}

function traceRow(trace, onclick) {
    const { key, id, name, service, start_us, duration_us, spans, errors } = trace;
    const cell = (name, ...children) => h('span', { class: name, role: 'gridcell' }, children);
    return h(
        'div',
        { class: 'row', role: 'row', onclick },
        cell(
            'began',
            start_us === null
                ? '\u2013'
                : h('time', { datetime: exactTime(start_us), title: exactTime(start_us) }, time(start_us)),
        ),
        cell(
            'what',
            h('a', { class: 'name', href: routeTo('trace', key), tabindex: '-1' }, said(clip(name || id, NAME_CHARS))),
            service && service !== name ? said(clip(service, NAME_CHARS), { class: 'muted' }) : null,
        ),
        cell('lasted', duration_us === null ? '\u2013' : duration(duration_us)),
        cell('spans', count(spans), h('span', { class: 'unit' }, spans === 1 ? ' span' : ' spans')),
        cell(
            'errors',
            errors > 0
                ? h(
                      'span',
                      { class: 'bad-text' },
                      count(errors),
                      h('span', { class: 'unit' }, errors === 1 ? ' error' : ' errors'),
                  )
                : '',
        ),
        cell('states', stateCounts(trace)),
    );
}

/** Search and filters. `changed` is called when they change. */
function makeFilter(params, changed) {
    let timer = 0;
    const typed = () => {
        clearTimeout(timer);
        timer = setTimeout(changed, TYPING_MS);
    };
    const input = (name, label, placeholder, more) =>
        h('input', {
            name,
            'aria-label': label,
            placeholder,
            autocomplete: 'off',
            spellcheck: 'false',
            maxlength: 200,
            oninput: typed,
            ...more,
        });
    const text = input('q', 'Search', 'Search names, ids, services', {
        type: 'search',
        class: 'search',
        value: params.get('q'),
    });
    const least = input('min', 'Shortest duration', 'min 200ms', { class: 'short', value: params.get('min') });
    const most = input('max', 'Longest duration', 'max 5s', { class: 'short', value: params.get('max') });
    const toggle = (name, label) => {
        const box = h('input', { type: 'checkbox', name, onchange: changed });
        box.checked = params.has(name);
        return [box, h('label', { class: 'toggle' }, box, h('span', {}, label))];
    };
    const [errors, errorsLabel] = toggle('errors', 'Errors');
    const [rejected, rejectedLabel] = toggle('rejected', 'Rejected');
    const element = h(
        'form',
        { class: 'filter', role: 'search', onsubmit: (event) => event.preventDefault() },
        text,
        errorsLabel,
        rejectedLabel,
        least,
        most,
    );

    function limit(field) {
        const ms = field.value.trim() === '' ? null : parseDuration(field.value);
        const isWrong = field.value.trim() !== '' && ms === null;
        field.setAttribute('aria-invalid', isWrong);
        return ms;
    }

    return {
        element,
        query: () => ({
            q: text.value,
            errors: Number(errors.checked),
            rejected: Number(rejected.checked),
            min_ms: limit(least),
            max_ms: limit(most),
        }),
        params: () => ({
            q: text.value,
            errors: errors.checked && '1',
            rejected: rejected.checked && '1',
            min: least.value,
            max: most.value,
        }),
        isSet: () => Boolean(text.value || errors.checked || rejected.checked || least.value || most.value),
        focus: () => {
            text.focus();
            text.select();
        },
        /** Esc in a field empties it first, and then leaves it. */
        leave: (leaveTo) => {
            const field = document.activeElement;
            if (![text, least, most].includes(field)) return;
            if (field.value !== '') {
                field.value = '';
                changed();
            } else {
                leaveTo();
            }
        },
    };
}
