// A trace: what it was, where its time went, its spans as a waterfall, and the one that is looked at.

import { announce } from '../parts/announce.js';
import { h, replace } from '../parts/dom.js';
import { count, counted } from '../parts/format.js';
import { Retry } from '../parts/retry.js';
import { follow, note, routeTo } from '../parts/route.js';
import { clip, plain } from '../parts/text.js';
import { SpanPanel } from './span.js';
import { backLink, traceFacts, traceShares, traceTitle } from './trace-head.js';
import { Waterfall } from './waterfall.js';

const PAGE_SPANS = 5000;
/** A larger trace is not read again whenever the spool changes. */
const MOST_READ_AGAIN = 5000;
const MOST_SHARES = 4;
const TAB_CHARS = 60;

export class TraceView {
    #source;
    #key;
    #linked;
    #back;
    #head = h('div', { class: 'trace-head' });
    #waterfall = new Waterfall({
        moved: (node) => this.#panel.isOpen && this.#open(node),
        opened: (node) => this.#open(node),
    });
    #panel;
    #split;
    #trace = null;
    #version = null;
    #isReading = false;
    #retry = null;
    #isClosed = false;

    title = 'Trace';
    element;

    actions = {
        ...this.#waterfall.actions,
        Enter: () => this.#enter(),
        Escape: () => (this.#panel.isOpen ? this.#closePanel() : follow(this.#back)),
    };

    /** The view of the trace that the address names; `back` is the address that Esc leads to. */
    constructor(source, route, back) {
        this.#source = source;
        this.#key = route.key;
        this.#linked = route.params.get('span');
        this.#back = back;
        this.#panel = new SpanPanel(source, {
            close: () => this.#closePanel(),
            zoom: () => this.#waterfall.toggleZoom(),
            selectParent: () => this.#select(this.#waterfall.active.parent),
        });
        this.#split = h('div', { class: 'split' }, this.#waterfall.element, this.#panel.element);
        this.element = h('div', { class: 'view' }, this.#head, this.#split);
        this.#read();
    }

    /** A trace may still grow, and its spans may be delivered. What could not be read is tried again. */
    update({ version }) {
        const hasChanged = this.#version !== null && version !== this.#version;
        this.#version = version;
        const isSmall = this.#trace !== null && this.#trace.total <= MOST_READ_AGAIN;
        const isDue = this.#retry === null ? hasChanged && isSmall : this.#retry.isDue;
        if (isDue && !this.#isReading) this.#read();
    }

    focus() {
        this.#waterfall.focus();
    }

    close() {
        this.#isClosed = true;
    }

    async #read() {
        this.#isReading = true;
        try {
            const spans = await this.#readSpans();
            this.#retry = null;
            if (!this.#isClosed) this.#show(spans);
        } catch (error) {
            this.#retry ??= new Retry();
            this.#retry.failed();
            this.#showProblem(error);
        }
        this.#isReading = false;
    }

    async #readSpans() {
        const spans = [];
        for (;;) {
            const page = await this.#source.trace(this.#key, spans.length, PAGE_SPANS);
            spans.push(...page.spans);
            const isFirst = this.#trace === null;
            this.#trace = page;
            if (this.#isClosed || page.spans.length === 0 || spans.length >= page.total) return spans;
            if (isFirst) replace(this.#head, h('p', { class: 'muted' }, `Reading ${count(page.total)} spans\u2026`));
        }
    }

    #showProblem(error) {
        const gone = error.status === 404 ? 'This trace is not in the spool, or no longer. ' : '';
        replace(this.#head, backLink(this.#back), h('p', { class: 'note bad' }, gone + error.message));
    }

    #show(spans) {
        const isFirst = this.#head.querySelector('h1') === null;
        this.#waterfall.show(spans);
        const { trouble, delivered = 0, gone = 0 } = this.#trace;
        const fate = gone > 0 ? 'delivered or dropped' : 'delivered';
        replace(
            this.#head,
            backLink(this.#back),
            traceTitle(this.#trace, () => this.#openItem()),
            traceFacts(spans, { delivered, gone }, this.#waterfall.extent),
            traceShares(this.#waterfall.longest(MOST_SHARES), (node) => this.#select(node)),
            trouble && h('p', { class: 'note bad', dir: 'auto' }, trouble),
            spans.length === 0 && h('p', { class: 'note' }, `Its spans were ${fate}, and are no longer in the spool.`),
        );
        if (isFirst) this.#greet(spans);
    }

    /** The first time: the name of the page, what a screen reader is told, and the span that the address names. */
    #greet(spans) {
        const errors = spans.filter((span) => span.error).length;
        document.title = `${plain(clip(this.#trace.name || this.#trace.id, TAB_CHARS))} \u00b7 spanspool`;
        announce(`${counted(spans.length, 'span')}, ${counted(errors, 'error')}`);
        const linked = this.#waterfall.find(this.#linked);
        if (linked) this.#select(linked);
        else this.#waterfall.focus();
    }

    #select(node) {
        this.#waterfall.activate(node);
        this.#open(node);
    }

    #enter() {
        if (!this.#waterfall.active) this.#waterfall.focus();
        if (!this.#waterfall.active) return;
        this.#open(this.#waterfall.active);
        this.#panel.focus();
    }

    #open(node) {
        this.#reveal();
        this.#panel.show(node.span, this.#waterfall.placeOf(node));
        note(routeTo('trace', this.#key, { span: node.span.ref }));
        if (this.#panel.coversAll) this.#panel.focus();
    }

    /** The item of the trace itself. */
    #openItem() {
        this.#reveal();
        this.#panel.show({ ...this.#trace, kind: 'trace', state: null }, null);
        this.#panel.focus();
    }

    #reveal() {
        this.#panel.isOpen = true;
        this.#split.classList.add('shows-panel');
    }

    #closePanel() {
        this.#panel.isOpen = false;
        this.#split.classList.remove('shows-panel');
        note(routeTo('trace', this.#key));
        this.#waterfall.focus();
    }
}
