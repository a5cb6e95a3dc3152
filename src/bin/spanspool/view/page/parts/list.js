// A list of any length: only the rows in view are elements.
//
// Browsers limit the height of an element to some 17 to 33 million pixels. A longer list gets a shorter scrollbar:
// small steps move the rows one to one, long ones (the scrollbar dragged, End) in proportion.

import { h } from './dom.js';

const TALLEST_PX = 10_000_000;
const OVERSCAN = 8;

export class VirtualList {
    /** The row that j, k and the arrows start from, or -1. */
    active = -1;
    #scroller;
    #makeRow;
    #inView;
    #spacer = h('div', { class: 'list-height' });
    #layer = h('div', { class: 'list-rows', role: 'rowgroup' });
    #rows = new Map();
    #total = 0;
    #rowHeight = 0;
    #top = 0;
    #lastScrollTop = 0;

    /**
     * `scroller` scrolls; the height of a row is its CSS variable `--row` in pixels. `makeRow(index)` makes a row's
     * element. `inView(first, last)` is told which rows are meant to be seen.
     */
    constructor(scroller, makeRow, inView = () => {}) {
        this.#scroller = scroller;
        this.#makeRow = makeRow;
        this.#inView = inView;
        scroller.append(this.#spacer);
        this.#spacer.append(this.#layer);
        scroller.addEventListener('scroll', () => this.#scrolled());
        scroller.addEventListener('scrollend', () => this.#alignScrollbar());
        new ResizeObserver(() => this.#measure()).observe(scroller);
    }

    get total() {
        return this.#total;
    }

    get isAtTop() {
        return this.#top < 1;
    }

    /** The indexes of the first and the last row in view. */
    get view() {
        const first = Math.floor(this.#top / (this.#rowHeight || 1));
        const last = Math.ceil((this.#top + this.#scroller.clientHeight) / (this.#rowHeight || 1));
        return [Math.max(first, 0), Math.max(Math.min(last, this.#total - 1), 0)];
    }

    /** Makes all rows again: there are `total` now, or other ones. */
    show(total) {
        this.#total = total;
        this.active = Math.min(this.active, total - 1);
        this.#measure();
    }

    /** Goes to the first row, and makes none the active one. */
    goToTop() {
        this.active = -1;
        this.#top = 0;
        this.#alignScrollbar();
    }

    /** Makes the row at `index` the active one and brings it into view. With `focus` it gets the focus, too. */
    activate(index, { focus = true } = {}) {
        if (this.#total === 0) return;
        this.active = Math.max(0, Math.min(index, this.#total - 1));
        this.#bringIntoView(this.active);
        this.#remake();
        if (focus) this.rowElement(this.active)?.focus({ preventScroll: true });
    }

    /** The element of a row, if it is in view. */
    rowElement(index) {
        return this.#rows.get(index);
    }

    /** How many rows fit into the view. */
    get fitting() {
        return Math.max(1, Math.floor(this.#scroller.clientHeight / (this.#rowHeight || 1)) - 1);
    }

    get #height() {
        return this.#total * this.#rowHeight;
    }

    /** How many pixels of the list one pixel of the scrollbar stands for. */
    get #scale() {
        const room = this.#scroller.clientHeight;
        const barRange = Math.min(this.#height, TALLEST_PX) - room;
        return barRange <= 0 ? 1 : (this.#height - room) / barRange;
    }

    get #furthest() {
        return Math.max(0, this.#height - this.#scroller.clientHeight);
    }

    #measure() {
        this.#rowHeight = parseFloat(getComputedStyle(this.#scroller).getPropertyValue('--row')) || 32;
        this.#spacer.style.height = `${Math.min(this.#height, TALLEST_PX)}px`;
        this.#top = Math.min(this.#top, this.#furthest);
        this.#moveScrollbar();
        this.#remake();
    }

    #scrolled() {
        const { scrollTop, clientHeight } = this.#scroller;
        const step = scrollTop - this.#lastScrollTop;
        const isAtEnd = scrollTop <= 0 || scrollTop >= this.#scroller.scrollHeight - clientHeight - 1;
        const inProportion = isAtEnd || Math.abs(step) > clientHeight;
        const top = inProportion ? scrollTop * this.#scale : this.#top + step;
        this.#top = Math.max(0, Math.min(top, this.#furthest));
        this.#lastScrollTop = scrollTop;
        this.#draw();
    }

    /** Puts the scrollbar to where the rows are, after steps that were not in proportion. */
    #alignScrollbar() {
        this.#moveScrollbar();
        this.#draw();
    }

    #moveScrollbar() {
        const meant = Math.round(this.#top / this.#scale);
        if (Math.abs(this.#scroller.scrollTop - meant) > 1) this.#scroller.scrollTop = meant;
        this.#lastScrollTop = this.#scroller.scrollTop;
    }

    #bringIntoView(index) {
        const room = this.#scroller.clientHeight;
        const [from, to] = [index * this.#rowHeight, (index + 1) * this.#rowHeight];
        if (from >= this.#top && to <= this.#top + room) return;
        this.#top = Math.max(0, Math.min(from < this.#top ? from : to - room, this.#furthest));
        this.#alignScrollbar();
    }

    #remake() {
        const focused = [...this.#rows].find(([, row]) => row.contains(document.activeElement))?.[0];
        for (const row of this.#rows.values()) row.remove();
        this.#rows.clear();
        this.#draw(focused);
        if (focused !== undefined) this.rowElement(focused)?.focus({ preventScroll: true });
    }

    /** Takes away the rows that left the view and makes those that came into it. `focused` is kept in any case. */
    #draw(focused = this.#indexWithFocus()) {
        const [first, last] = this.view;
        const [from, to] = [Math.max(0, first - OVERSCAN), Math.min(this.#total - 1, last + OVERSCAN)];
        const isMeant = (index) => (index >= from && index <= to) || (index === focused && index < this.#total);
        for (const [index, row] of this.#rows) {
            if (!isMeant(index)) {
                row.remove();
                this.#rows.delete(index);
            }
        }
        for (let index = from; index <= to; index += 1) this.#place(index);
        if (focused !== undefined && isMeant(focused)) this.#place(focused);
        if (this.#total > 0) this.#inView(first, last);
    }

    #indexWithFocus() {
        if (!this.#layer.contains(document.activeElement)) return undefined;
        return [...this.#rows].find(([, row]) => row.contains(document.activeElement))?.[0];
    }

    #place(index) {
        let row = this.#rows.get(index);
        if (!row) {
            row = this.#makeRow(index);
            row.setAttribute('aria-rowindex', index + 1);
            row.tabIndex = index === Math.max(this.active, 0) ? 0 : -1;
            row.classList.toggle('active', index === this.active);
            this.#rows.set(index, row);
            this.#insertInOrder(row, index);
        }
        // The layer stands where the scrollbar is, so rows are placed from there.
        const offset = index * this.#rowHeight - this.#top + this.#scroller.scrollTop;
        row.style.transform = `translateY(${offset}px)`;
    }

    /** A screen reader reads rows in the order of the document. */
    #insertInOrder(row, index) {
        const next = [...this.#layer.children].find((other) => Number(other.getAttribute('aria-rowindex')) > index + 1);
        this.#layer.insertBefore(row, next ?? null);
    }
}
