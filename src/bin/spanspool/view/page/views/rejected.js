// Rejected: what the ingest refused, why, and how to send it again.

import { announce } from '../parts/announce.js';
import { h, said, setText } from '../parts/dom.js';
import { counted, time } from '../parts/format.js';
import { VirtualList } from '../parts/list.js';
import { MissingNote } from '../parts/missing.js';
import { Pages } from '../parts/pages.js';
import { Panel } from '../parts/panel.js';
import { follow, note, routeTo } from '../parts/route.js';
import { clip } from '../parts/text.js';
import { rejectionContent, statusChip } from './rejection.js';

const PAGE_REJECTED = 200;
const SHOWN_CHARS = 200;

export class RejectedView {
    #source;
    #linked;
    #found = h('p', { class: 'found' });
    #scroller = h('div', { class: 'list rejected', role: 'grid', 'aria-label': 'Rejected items' });
    #list = new VirtualList(
        this.#scroller,
        (index) => this.#row(index),
        (first, last) => this.#want(first, last),
    );
    #pages = new Pages(
        PAGE_REJECTED,
        (offset, limit) => this.#source.rejected(offset, limit),
        () => this.#show(),
    );
    #missing = new MissingNote('Rejected items');
    #panel = new Panel('Rejected item');
    #split = h('div', { class: 'split' }, this.#scroller, this.#panel.element);
    #rejected = null;
    #isAnnounced = false;

    title = 'Rejected';
    element = h(
        'div',
        { class: 'view' },
        h('h1', { class: 'only-heard' }, 'Rejected'),
        h('div', { class: 'toolbar' }, this.#found),
        this.#missing.element,
        this.#split,
    );

    actions = {
        j: () => this.#move(this.#list.active + 1),
        k: () => this.#move(this.#list.active - 1),
        Home: () => this.#move(0),
        End: () => this.#move(this.#list.total - 1),
        PageDown: () => this.#move(this.#list.active + this.#list.fitting),
        PageUp: () => this.#move(this.#list.active - this.#list.fitting),
        Enter: () => this.#enter(),
        Escape: () => (this.#panel.isOpen ? this.#closePanel() : follow(routeTo('traces'))),
    };

    /** The view; the address may name the item that is looked at. */
    constructor(source, route) {
        this.#source = source;
        this.#linked = route.key;
        this.#pages.reset();
    }

    focus() {
        this.#list.activate(Math.max(this.#list.active, 0));
    }

    /** Items are put back and purged by other programs. */
    update({ lanes }) {
        const rejected = lanes.reduce((sum, lane) => sum + lane.ledger.rejected, 0);
        if (this.#rejected !== null && rejected !== this.#rejected) this.#pages.renew(...this.#list.view);
        else this.#want(...this.#list.view);
        this.#rejected = rejected;
    }

    #want(first, last) {
        this.#pages.want(first, last);
        this.#missing.show(this.#pages.missing);
    }

    /** Shows the rows that are there. */
    #show() {
        const { total } = this.#pages;
        setText(this.#found, total === null ? '' : foundText(total));
        this.#scroller.setAttribute('aria-rowcount', total ?? -1);
        this.#list.show(total ?? 0);
        this.#missing.show(this.#pages.missing);
        if (total === null) return;
        if (!this.#isAnnounced) announce(counted(total, 'rejected item'));
        this.#isAnnounced = true;
        this.#openLinked();
    }

    #openLinked() {
        if (this.#linked === '') return;
        const first = Array.from({ length: Math.min(this.#list.total, PAGE_REJECTED) }, (_, index) => index);
        const index = first.find((each) => this.#pages.at(each)?.ref === this.#linked);
        this.#linked = '';
        if (index !== undefined) this.#open(index);
    }

    #row(index) {
        const row = this.#pages.at(index);
        const cell = (name, ...children) => h('span', { class: name, role: 'gridcell' }, children);
        if (!row) return h('div', { class: 'row awaited', role: 'row' }, cell('what', '\u2026'));
        const name = said(clip(row.name || row.id, SHOWN_CHARS), { class: 'name' });
        const reason = said(clip(row.reason, SHOWN_CHARS), { class: 'muted' });
        const attributes = { class: 'row', role: 'row', 'aria-selected': String(index === this.#list.active) };
        return h(
            'div',
            { ...attributes, onclick: () => this.#open(index) },
            cell('status', statusChip(row)),
            cell('what', name, reason),
            cell('began', row.time_ms !== null && time(row.time_ms * 1000)),
        );
    }

    #move(index) {
        this.#list.activate(index);
        if (this.#panel.isOpen) this.#open(this.#list.active);
    }

    #enter() {
        if (this.#list.total === 0) return;
        this.#open(Math.max(this.#list.active, 0));
        this.#panel.focus();
    }

    #open(index) {
        const row = this.#pages.at(index);
        if (!row) return;
        this.#list.activate(index);
        this.#panel.isOpen = true;
        this.#split.classList.add('shows-panel');
        this.#panel.put(rejectionContent(row, () => this.#closePanel()));
        note(routeTo('rejected', row.ref));
        if (this.#panel.coversAll) this.#panel.focus();
    }

    #closePanel() {
        this.#panel.isOpen = false;
        this.#split.classList.remove('shows-panel');
        note(routeTo('rejected'));
        this.focus();
    }
}

function foundText(total) {
    if (total === 0) return 'Nothing was rejected.';
    const until = 'Each stays here until it is put back by the command shown with it, or purged.';
    return `${counted(total, 'rejected item')}. ${until}`;
}
