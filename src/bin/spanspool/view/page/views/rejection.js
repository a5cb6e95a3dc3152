// A rejected item in the panel: why, what the ingest answered, and the command that sends it again.

import { copyButton } from '../parts/copy.js';
import { h, said } from '../parts/dom.js';
import { count, exactTime } from '../parts/format.js';
import { readable } from '../parts/json.js';
import { longText } from '../parts/long-text.js';
import { factList, panelHead } from '../parts/panel.js';
import { routeTo } from '../parts/route.js';
import { clip } from '../parts/text.js';

const NAME_CHARS_IN_HEAD = 500;

/** The HTTP status of the answer. */
export function statusChip({ status }) {
    return h('span', { class: 'chip state-rejected' }, status ? `HTTP ${status}` : 'no answer');
}

/** All about a row of `api/rejected`; `close` closes the panel. */
export function rejectionContent(row, close) {
    const { ref, id, name, trace_key, time_ms, reason, answer, items, lane, command } = row;
    const inTrace =
        trace_key !== null && h('a', { href: routeTo('trace', trace_key, { span: ref }) }, 'Show it in its trace');
    const mono = (text) => said(text, { class: 'mono' });
    return [
        panelHead(said(clip(name || id, NAME_CHARS_IN_HEAD)), close, [statusChip(row), inTrace]),
        section('Why', longText(reason)),
        section("The ingest's answer", answer ? code(readable(answer)) : muted('It had no text.')),
        section(
            'To send it again',
            muted('When the cause is mended, this puts it back into the spool:'),
            code(command),
            copyButton('command', () => command),
        ),
        factList([
            ['Id', mono(id)],
            ['Lane', mono(lane)],
            items > 1 && ['Items', count(items)],
            time_ms !== null && ['Rejected at', exactTime(time_ms * 1000)],
        ]),
    ];
}

function section(title, ...content) {
    return h('section', {}, h('h3', {}, title), content);
}

function muted(text) {
    return h('p', { class: 'muted' }, text);
}

function code(text) {
    return longText(text, { tag: 'pre', name: 'code' });
}
