// Now: what is in the spool, what moves, and each lane with its owner and destination.

import { makeChart } from '../parts/chart.js';
import { h, replace, said, setText } from '../parts/dom.js';
import { bytes, count, counted, duration, rate } from '../parts/format.js';

/** More lanes than this are named by their number only. */
const MOST_LANES = 200;

/** The view. Everything in it is changed in place, each second: no selection is lost, and nothing flickers. */
export function makeNowView() {
    const totals = makeTotals();
    const charts = makeCharts();
    const lanes = makeLanes();
    const element = h(
        'div',
        { class: 'page scrolls', tabindex: '0', role: 'region', 'aria-label': 'Now' },
        h('h1', { class: 'only-heard' }, 'Now'),
        totals.element,
        charts.element,
        lanes.element,
    );

    function update(now) {
        totals.update(now.lanes);
        charts.update(now.history);
        lanes.update(now);
    }
    return { element, title: 'Now', update, focus: () => element.parentElement.focus({ preventScroll: true }) };
}

const LEDGER = [
    ['accepted', 'accepted', ['accepted'], ''],
    ['delivered', 'delivered', ['delivered'], '='],
    ['pending', 'waiting', ['pending'], '+'],
    ['rejected', 'rejected', ['rejected'], '+'],
    ['dropped', 'dropped', ['dropped_overflow', 'dropped_expired', 'dropped_corrupt'], '+'],
];

/** The ledger of all lanes, as the equation that it is. */
function makeTotals() {
    const figures = LEDGER.map(([name, label, counters, sign]) => ({ name, label, counters, sign, dd: h('dd') }));
    const element = h(
        'dl',
        { class: 'ledger' },
        figures.map(({ name, label, sign, dd }) => [
            h(
                'div',
                { class: `total total-${name}` },
                h('dt', {}, sign && h('span', { class: 'sign' }, sign), label),
                dd,
            ),
        ]),
    );
    function update(lanes) {
        for (const { counters, dd } of figures) {
            const sum = lanes.reduce((all, lane) => all + sumOf(lane.ledger, counters), 0);
            setText(dd, count(sum));
            dd.classList.toggle('none', sum === 0);
        }
    }
    return { element, update };
}

function sumOf(ledger, counters) {
    return counters.reduce((sum, counter) => sum + ledger[counter], 0);
}

function makeCharts() {
    const [accepted, delivered, waiting] = ['Accepted', 'Delivered', 'Waiting'].map(makeChart);
    const element = h(
        'section',
        { class: 'charts', 'aria-label': 'The last minutes' },
        accepted.element,
        delivered.element,
        waiting.element,
    );

    function update({ interval_ms, points }) {
        const minutes = minutesText(Math.max(0, points.length - 1) * interval_ms);
        showRates(accepted, ratesOf(points, 1), minutes);
        showRates(delivered, ratesOf(points, 2), minutes);
        const backlog = points.map((point) => point[3]);
        const most = backlog.reduce((most, each) => Math.max(most, each), 0);
        waiting.show(backlog, count(backlog.at(-1) ?? 0), `at most ${count(most)} in ${minutes}`);
    }
    return { element, update };
}

function minutesText(ms) {
    return ms < 60_000 ? `the last ${Math.round(ms / 1000)} s` : `the last ${Math.round(ms / 60_000)} min`;
}

function showRates(chart, rates, minutes) {
    const most = rates.reduce((most, each) => Math.max(most, each ?? 0), 0);
    chart.show(
        rates,
        rates.at(-1) == null ? '\u2013' : `${rate(rates.at(-1))}/s`,
        `at most ${rate(most)}/s in ${minutes}`,
    );
}

/** What a counter grew by, a second. A lane that was removed takes its counts along: no rate is known then. */
function ratesOf(points, column) {
    return points.slice(1).map((point, at) => {
        const seconds = (point[0] - points[at][0]) / 1000;
        const grown = point[column] - points[at][column];
        return seconds > 0 && grown >= 0 ? grown / seconds : null;
    });
}

function makeLanes() {
    const cards = new Map();
    const title = h('h2');
    const list = h('ul', { class: 'lanes' });
    const unreadable = h('div', { class: 'unreadable' });
    const element = h('section', { 'aria-label': 'Lanes' }, title, list, unreadable);

    function update(now) {
        const shown = now.lanes.slice(0, MOST_LANES);
        const rest = now.lanes.length - shown.length;
        const more = rest > 0 ? `, the first ${MOST_LANES} below; "spanspool status" shows all` : '';
        setText(title, now.lanes.length === 0 ? 'No lane yet' : counted(now.lanes.length, 'lane') + more);
        for (const [id, card] of cards) {
            if (!shown.some((lane) => lane.id === id)) {
                card.element.remove();
                cards.delete(id);
            }
        }
        for (const lane of shown) {
            if (!cards.has(lane.id)) {
                cards.set(lane.id, makeLane(lane.id));
                list.append(cards.get(lane.id).element);
            }
            cards.get(lane.id).update(lane, now.time_ms);
        }
        showUnreadable(now.unreadable);
    }

    function showUnreadable(lanes) {
        const text = JSON.stringify(lanes);
        if (unreadable.dataset.shown === text) return;
        unreadable.dataset.shown = text;
        replace(
            unreadable,
            lanes.map(({ id, reason, damaged }) =>
                h(
                    'p',
                    { class: 'note bad' },
                    `Lane ${id} ${damaged ? 'is damaged' : "can't be read"}: `,
                    said(reason),
                    damaged ? '. "spanspool check" says what can be recovered.' : '',
                ),
            ),
        );
    }
    return { element, update };
}

/** The figures of a lane: label, and the text of it. */
const FIGURES = [
    ['Waiting', ({ ledger, pending_bytes }) => withBytes(ledger.pending, pending_bytes)],
    ['Oldest', ({ ledger, oldest_pending_age_ms: age }) => (ledger.pending > 0 ? duration(age * 1000) : '\u2013')],
    ['Accepted', ({ ledger }) => count(ledger.accepted)],
    ['Delivered', ({ ledger }) => count(ledger.delivered)],
    ['Rejected', ({ ledger }) => count(ledger.rejected)],
    ['Dropped', ({ ledger }) => droppedText(ledger)],
    ['Requests', ({ requests }) => requestsText(requests)],
    ['On disk', ({ disk_bytes }) => bytes(disk_bytes)],
];

function withBytes(pending, size) {
    return pending > 0 ? `${count(pending)}, ${bytes(size)}` : '0';
}

function droppedText(ledger) {
    const causes = ['overflow', 'expired', 'corrupt'].filter((cause) => ledger[`dropped_${cause}`] > 0);
    return causes.map((cause) => `${count(ledger[`dropped_${cause}`])} ${cause}`).join(', ') || '0';
}

function requestsText({ batches_sent, retries, last_http_status: status }) {
    const again = retries > 0 ? `, ${counted(retries, 'retry').replace('retrys', 'retries')}` : '';
    return `${count(batches_sent)}${again}${status ? `, last ${status}` : ''}`;
}

function makeLane(id) {
    const [owner, state, to, why] = [
        h('span'),
        h('span'),
        h('bdi', { class: 'to' }),
        h('p', { class: 'why', dir: 'auto' }),
    ];
    const figures = FIGURES.map(([label, textOf]) => ({ label, textOf, dd: h('dd') }));
    const element = h(
        'li',
        { class: 'lane' },
        h('div', { class: 'lane-head' }, h('h3', {}, said(id)), owner, state, to),
        why,
        h(
            'dl',
            { class: 'figures' },
            figures.map(({ label, dd }) => h('div', {}, h('dt', {}, label), dd)),
        ),
    );

    function update(lane, nowMs) {
        setText(owner, lane.owner_pid === null ? 'no owner' : `process ${lane.owner_pid}`);
        owner.className = `chip ${lane.owner_pid === null ? 'orphan' : 'owned'}`;
        setText(state, lane.export_state);
        const isBusy = ['sending', 'backoff', 'hold'].includes(lane.export_state);
        state.className = isBusy ? `chip export-${lane.export_state}` : 'chip';
        setText(to, destinationOf(lane));
        setText(why, reasonOf(lane, nowMs));
        why.hidden = why.textContent === '';
        for (const { textOf, dd } of figures) {
            const text = textOf(lane);
            setText(dd, text);
            dd.classList.toggle('none', text === '0');
        }
    }
    return { element, update };
}

function destinationOf({ exporter, signal, endpoint }) {
    if (!exporter && !endpoint) return 'for any client';
    const what = [exporter, signal && signal !== 'traces' ? signal : ''].filter(Boolean).join(' ');
    return endpoint ? `${what} \u2192 ${endpoint}` : what;
}

function reasonOf({ owner_pid, ledger, reason, next_attempt_ms: next }, nowMs) {
    const orphan =
        owner_pid === null && ledger.pending > 0
            ? 'Its process is gone. The next client of this destination, or "spanspool drain", delivers what waits.'
            : '';
    const again = next && next > nowMs ? `Next attempt in ${duration((next - nowMs) * 1000)}.` : '';
    return [reason && reason.replace(/[^.]$/, '$&.'), again, orphan].filter(Boolean).join(' ');
}
