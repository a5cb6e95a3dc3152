// The page of `spanspool view`: a viewer for the traces that wait in a spool. It only reads.

import { listenForKeys } from './parts/keys.js';
import { startPulse } from './parts/pulse.js';
import { follow, note, parseRoute, routeTo } from './parts/route.js';
import { openSource } from './parts/source.js';
import { makeFrame } from './views/frame.js';
import { makeNowView } from './views/now.js';
import { RejectedView } from './views/rejected.js';
import { TraceView } from './views/trace.js';
import { TracesView } from './views/traces.js';

const source = openSource();
const frame = makeFrame(source.isLive);
/** Kept while other views are shown, so that the reader comes back to the same place. */
let traces = null;
let shown = null;
let latest = null;

const MAKERS = {
    now: () => makeNowView(),
    traces: (route) => tracesAt(route),
    trace: (route) => new TraceView(source, route, traces?.address ?? routeTo('traces')),
    rejected: (route) => new RejectedView(source, route),
};

/** The list that is kept, unless the address asks for another one. */
function tracesAt(route) {
    const wanted = routeTo('traces', '', Object.fromEntries(route.params));
    if (!traces || (route.params.size > 0 && wanted !== traces.address)) traces = new TracesView(source, route);
    note(traces.address);
    return traces;
}

function show() {
    const route = parseRoute(location.hash || source.start);
    const name = Object.hasOwn(MAKERS, route.view) ? route.view : 'now';
    shown?.close?.();
    shown = MAKERS[name](route);
    frame.show(name === 'trace' ? 'traces' : name, shown.element, shown.title);
    if (latest) shown.update(latest);
    shown.focus();
}

addEventListener('hashchange', show);

listenForKeys(() => ({
    1: () => follow(routeTo('now')),
    2: () => follow(traces?.address ?? routeTo('traces')),
    3: () => follow(routeTo('rejected')),
    '?': frame.openHelp,
    ...shown.actions,
}));

show();
startPulse(
    source,
    (now) => {
        latest = now;
        frame.update(now);
        shown.update(now);
    },
    frame.lose,
);
