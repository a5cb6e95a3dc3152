// Traces: all that are in the spool, newest first, with search and filters.

import { announce } from '../parts/announce.js';
import { h, setText } from '../parts/dom.js';
import { counted } from '../parts/format.js';
import { VirtualList } from '../parts/list.js';
import { MissingNote } from '../parts/missing.js';
import { Pages } from '../parts/pages.js';
import { follow, note, routeTo } from '../parts/route.js';
import { TraceFilter } from './filter.js';
import { awaitedRow, traceRow } from './trace-row.js';

const PAGE_TRACES = 200;
const COLUMNS = ['Began', 'Trace', 'Duration', 'Spans', 'Errors', 'Items'];

export class TracesView {
    #source;
    #filter;
    #found = h('span', { class: 'found' });
    #newer = h('button', { type: 'button', class: 'newer', hidden: true, onclick: () => this.#showNewer() });
    #empty = h('p', { class: 'empty', hidden: true });
    #scroller = h('div', { class: 'list traces', role: 'grid', 'aria-label': 'Traces, newest first' });
    #list = new VirtualList(
        this.#scroller,
        (index) => this.#row(index),
        (first, last) => this.#want(first, last),
    );
    #pages = new Pages(
        PAGE_TRACES,
        (offset, limit) => this.#load(offset, limit),
        () => this.#show(),
    );
    #missing = new MissingNote('Traces');
    #version = null;
    #isAnnounced = false;

    title = 'Traces';
    element;

    actions = {
        j: () => this.#list.activate(this.#list.active + 1),
        k: () => this.#list.activate(this.#list.active - 1),
        Home: () => this.#list.activate(0),
        End: () => this.#list.activate(this.#list.total - 1),
        PageDown: () => this.#list.activate(this.#list.active + this.#list.fitting),
        PageUp: () => this.#list.activate(this.#list.active - this.#list.fitting),
        Enter: () => this.#open(),
        '/': () => this.#filter.focus(),
        Escape: () => this.#filter.escape(() => this.focus()),
    };

    /** The view; its filters are those of the address. */
    constructor(source, route) {
        this.#source = source;
        this.#filter = new TraceFilter(route.params, () => this.#filtered());
        this.element = h(
            'div',
            { class: 'view' },
            h('h1', { class: 'only-heard' }, 'Traces'),
            h('div', { class: 'toolbar' }, this.#filter.element, this.#found, this.#newer),
            this.#missing.element,
            h(
                'div',
                { class: 'traces-head', 'aria-hidden': 'true' },
                COLUMNS.map((title) => h('span', {}, title)),
            ),
            this.#scroller,
            this.#empty,
        );
        setText(this.#newer, 'The spool changed. Show it as it is now');
        this.#pages.reset();
    }

    /** Where the reader comes back to. */
    get address() {
        return routeTo('traces', '', this.#filter.params);
    }

    focus() {
        this.#list.activate(Math.max(this.#list.active, 0));
    }

    /** Rows don't move under a reader who is further down; who is at the top sees what is new. */
    update({ version }) {
        if (version === this.#version || this.#version === null) return this.#want(...this.#list.view);
        const isReading = !this.#list.isAtTop || this.#list.active > 0;
        if (isReading) this.#newer.hidden = false;
        else this.#pages.renew(...this.#list.view);
    }

    async #load(offset, limit) {
        const { total, traces, version } = await this.#source.traces({ ...this.#filter.query, offset, limit });
        // These rows don't follow upon those that are there.
        if (offset > 0 && version !== this.#version) this.#newer.hidden = false;
        this.#version = version;
        return { total, rows: traces };
    }

    #want(first, last) {
        this.#pages.want(first, last);
        this.#missing.show(this.#pages.missing);
    }

    /** Shows the rows that are there. */
    #show() {
        const { total } = this.#pages;
        setText(this.#found, total === null ? '' : counted(total, 'trace'));
        setText(this.#empty, total === 0 ? this.#whyEmpty() : '');
        this.#empty.hidden = total !== 0;
        this.#scroller.setAttribute('aria-rowcount', total ?? -1);
        this.#list.show(total ?? 0);
        this.#missing.show(this.#pages.missing);
        if (this.#isAnnounced || total === null) return;
        announce(counted(total, 'trace'));
        this.#isAnnounced = true;
    }

    #whyEmpty() {
        if (this.#filter.isSet) return 'No trace matches.';
        return 'No traces in the spool: everything was delivered, or nothing came yet.';
    }

    #filtered() {
        note(this.address);
        this.#isAnnounced = false;
        this.#newer.hidden = true;
        this.#list.goToTop();
        this.#pages.reset();
    }

    #showNewer() {
        this.#newer.hidden = true;
        this.#list.activate(0);
        this.#pages.renew(...this.#list.view);
    }

    #row(index) {
        const trace = this.#pages.at(index);
        return trace ? traceRow(trace, () => (this.#list.active = index)) : awaitedRow();
    }

    #open() {
        const trace = this.#pages.at(Math.max(this.#list.active, 0));
        if (trace) follow(routeTo('trace', trace.key));
    }
}
