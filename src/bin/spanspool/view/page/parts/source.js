// Where the data comes from: the server, or the picture of a spool that a file carries with it.

import { parseExactly } from './json.js';
import { routeTo } from './route.js';

/** An answer that is an error. `status` is 0 if there was no answer at all. */
class SourceError extends Error {
    constructor(status, message) {
        super(message);
        this.status = status;
    }
}

/** The picture in this page, or else the server that it came from. */
export function openSource() {
    const picture = document.getElementById('spool');
    return picture ? new Picture(JSON.parse(picture.textContent)) : new Server();
}

class Server {
    isLive = true;
    /** The address to begin with. */
    start = routeTo('now');

    now() {
        return this.#get('now');
    }

    traces(query) {
        return this.#get('traces', query);
    }

    trace(key, offset, limit) {
        return this.#get('trace', { key, offset, limit });
    }

    span(ref) {
        return this.#get('span', { ref }, parseExactly);
    }

    rejected(offset, limit) {
        return this.#get('rejected', { offset, limit });
    }

    /** The address of the item whole, to be downloaded. */
    rawAddress(ref) {
        return `api/raw?${new URLSearchParams({ ref })}`;
    }

    async #get(what, query = {}, parse = JSON.parse) {
        const given = Object.entries(query).filter(([, value]) => value !== null && value !== '');
        const [response, text] = await fetched(`api/${what}?${new URLSearchParams(given)}`);
        const answer = parsed(text, parse);
        if (!response.ok) throw new SourceError(response.status, answer?.error ?? `status ${response.status}`);
        if (answer === undefined) throw new SourceError(response.status, 'the answer is no JSON');
        return answer;
    }
}

async function fetched(address) {
    try {
        const response = await fetch(address, { cache: 'no-store', credentials: 'omit' });
        return [response, await response.text()];
    } catch {
        throw new SourceError(0, 'no answer; is "spanspool view" still running?');
    }
}

function parsed(text, parse) {
    try {
        return parse(text);
    } catch {
        return undefined;
    }
}

class Picture {
    isLive = false;
    #data;

    constructor(data) {
        this.#data = data;
    }

    get start() {
        const { total, traces } = this.#data.traces;
        return total === 1 ? routeTo('trace', traces[0].key) : routeTo('traces');
    }

    async now() {
        return this.#data.now;
    }

    async traces({ offset = 0, limit = 200, ...filter }) {
        const found = this.#data.traces.traces.filter((trace) => matches(trace, filter));
        return { version: 0, total: found.length, traces: found.slice(offset, offset + limit) };
    }

    async trace(key, offset, limit) {
        const trace = own(this.#data.details, key);
        if (!trace) throw new SourceError(404, 'this trace is not in the file');
        return { ...trace, spans: trace.spans.slice(offset, offset + limit) };
    }

    async span(ref) {
        const span = own(this.#data.spans, ref);
        if (!span) throw new SourceError(404, 'this span is not in the file');
        return parseExactly(span);
    }

    async rejected(offset, limit) {
        const { total, rows } = this.#data.rejected;
        return { total, rows: rows.slice(offset, offset + limit) };
    }

    rawAddress() {
        return null;
    }
}

/** `object[key]`, unless it is inherited. */
function own(object, key) {
    return Object.hasOwn(object, key) ? object[key] : undefined;
}

/** Whether the server would have given `trace` for this filter. */
function matches(trace, { q = '', errors = 0, rejected = 0, min_ms = null, max_ms = null }) {
    const text = [trace.name, trace.id, trace.service].join('\n').toLowerCase();
    return (
        text.includes(q.toLowerCase()) &&
        (!errors || trace.errors > 0) &&
        (!rejected || trace.rejected > 0) &&
        (min_ms === null || (trace.duration_us !== null && trace.duration_us >= min_ms * 1000)) &&
        (max_ms === null || (trace.duration_us !== null && trace.duration_us <= max_ms * 1000))
    );
}
