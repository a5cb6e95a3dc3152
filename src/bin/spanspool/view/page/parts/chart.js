// A small line over time.

import { h, setText, svg } from './dom.js';

const [WIDTH, HEIGHT] = [200, 40];

/** A chart named `title`: `{element, show(values, latest, about)}`. `values` are numbers in order, null for none. */
export function makeChart(title) {
    const area = svg('path', { class: 'chart-area' });
    const line = svg('path', { class: 'chart-line' });
    const picture = svg(
        'svg',
        {
            class: 'chart',
            role: 'img',
            viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
            preserveAspectRatio: 'none',
        },
        area,
        line,
    );
    const [now, range] = [h('span', { class: 'figure' }), h('span', { class: 'muted' })];
    const element = h(
        'figure',
        { class: 'charted' },
        h('figcaption', {}, h('span', { class: 'label' }, title), now),
        picture,
        range,
    );

    function show(values, latest, about) {
        const known = values.filter((value) => value !== null);
        const most = known.reduce((most, value) => Math.max(most, value), 0);
        const path = pathOf(values, most || 1);
        line.setAttribute('d', path.line);
        area.setAttribute('d', path.area);
        picture.setAttribute('aria-label', `${title}: now ${latest}, ${about}`);
        setText(now, latest);
        setText(range, about);
    }
    return { element, show };
}

function pathOf(values, most) {
    const points = values.flatMap((value, at) => {
        if (value === null) return [];
        const x = values.length < 2 ? WIDTH : (at / (values.length - 1)) * WIDTH;
        return [[x.toFixed(1), (HEIGHT - 1 - (value / most) * (HEIGHT - 3)).toFixed(1)]];
    });
    if (points.length < 2) return { line: '', area: '' };
    const line = `M${points.map((point) => point.join(' ')).join('L')}`;
    return { line, area: `${line}L${points.at(-1)[0]} ${HEIGHT}L${points[0][0]} ${HEIGHT}Z` };
}
