// A row of the list of traces.

import { h, said } from '../parts/dom.js';
import { count, duration, exactTime, time } from '../parts/format.js';
import { routeTo } from '../parts/route.js';
import { stateCounts } from '../parts/state.js';
import { clip } from '../parts/text.js';

const NAME_CHARS_IN_LIST = 200;

/** The row of a trace; `pressed` is called when the pointer goes to the trace. */
export function traceRow(trace, pressed) {
    const { key, id, name, service, start_us, duration_us, spans, errors } = trace;
    const link = { class: 'name', href: routeTo('trace', key), tabindex: '-1' };
    const title = h('a', link, said(clip(name || id, NAME_CHARS_IN_LIST)));
    const from = service && service !== name && said(clip(service, NAME_CHARS_IN_LIST), { class: 'muted' });
    return h(
        'div',
        { class: 'row', role: 'row', onclick: pressed },
        cell('began', start_us === null ? '\u2013' : clock(start_us)),
        cell('what', title, from),
        cell('lasted', duration_us === null ? '\u2013' : duration(duration_us)),
        cell('spans', countOf(spans, 'span')),
        cell('errors', errors > 0 && h('span', { class: 'bad-text' }, countOf(errors, 'error'))),
        cell('states', stateCounts(trace)),
    );
}

/** The row of a trace that is not there yet. */
export function awaitedRow() {
    return h('div', { class: 'row awaited', role: 'row' }, cell('what', '\u2026'));
}

function cell(name, ...children) {
    return h('span', { class: name, role: 'gridcell' }, children);
}

function clock(us) {
    const exact = exactTime(us);
    return h('time', { datetime: exact, title: exact }, time(us));
}

/** The number; its unit is shown where there is no column with a title. */
function countOf(n, unit) {
    return [count(n), h('span', { class: 'unit' }, n === 1 ? ` ${unit}` : ` ${unit}s`)];
}
