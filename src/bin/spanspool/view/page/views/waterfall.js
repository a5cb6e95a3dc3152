// The waterfall: a row for each span, nested as they ran, with a bar from beginning to end.

import { criticalPath, gapsBetween, lengthOf } from '../model/critical.js';
import { nest, timesOf, visibleRows } from '../model/tree.js';
import { h, replace } from '../parts/dom.js';
import { duration } from '../parts/format.js';
import { VirtualList } from '../parts/list.js';
import { Scale } from './scale.js';
import { spanRow } from './span-row.js';

/** A gap of the whole trace is worth a mark from this part of it on. */
const LEAST_GAP = 1 / 50;
/** After this part of the width, a small screen has no room for the label of a time. */
const LAST_LABEL = 0.85;

export class Waterfall {
    #on;
    #ruler = h('div', { class: 'ruler', 'aria-hidden': 'true' });
    #lines = h('div', { class: 'lines', 'aria-hidden': 'true' });
    #scroller = h('div', { class: 'list waterfall', role: 'treegrid', 'aria-label': 'Spans' });
    #list = new VirtualList(this.#scroller, (index) => this.#row(index));
    #folded = new Set();
    #tree = nest([]);
    #rows = [];
    #critical = new Map();
    #scale = new Scale(0, 1);

    element = h('div', { class: 'waterfall-frame' }, this.#ruler, this.#lines, this.#scroller);

    /** What keys do. */
    actions = {
        j: () => this.#move(this.#list.active + 1),
        k: () => this.#move(this.#list.active - 1),
        Home: () => this.#move(0),
        End: () => this.#move(this.#rows.length - 1),
        PageDown: () => this.#move(this.#list.active + this.#list.fitting),
        PageUp: () => this.#move(this.#list.active - this.#list.fitting),
        ArrowLeft: () => this.#foldOrGoUp(),
        ArrowRight: () => this.#unfoldOrGoDown(),
        z: () => this.toggleZoom(),
        e: () => this.#goToNext((node) => node.span.error),
        c: () => this.#goToNext((node) => this.#critical.has(node)),
    };

    /** `on.moved(node)` is called when the reader went to another row, `on.opened(node)` when one was pressed. */
    constructor(on) {
        this.#on = on;
    }

    /** The node of the active row, if there is one. */
    get active() {
        return this.#rows[this.#list.active];
    }

    /** The beginning and end of the trace. */
    get extent() {
        return { from: this.#tree.from, to: this.#tree.to };
    }

    /** Shows these spans. What was folded and active before is so again. */
    show(spans) {
        const folded = new Set([...this.#folded].map((node) => node.span.ref));
        const active = this.active?.span.ref;
        this.#tree = nest(spans);
        this.#critical = criticalPath(this.#tree);
        this.#folded = new Set(this.#tree.order.filter((node) => folded.has(node.span.ref)));
        this.#zoomTo(this.#tree);
        const again = active === undefined ? undefined : this.find(active);
        if (again) this.activate(again, { focus: false });
    }

    find(ref) {
        return this.#tree.order.find((node) => node.span.ref === ref);
    }

    /** Makes `node` the active row, and unfolds what it is in. */
    activate(node, { focus = true } = {}) {
        for (let above = node.parent; above; above = above.parent) this.#folded.delete(above);
        this.#refresh();
        this.#list.activate(this.#rows.indexOf(node), { focus });
    }

    /** Gives the focus to the active row, or else to the first one. */
    focus() {
        this.#list.activate(Math.max(this.#list.active, 0));
    }

    toggleZoom() {
        const isZoomed = this.#scale.from !== this.#tree.from || this.#scale.to < this.#tree.to;
        const times = this.active && timesOf(this.active);
        if (isZoomed) this.#zoomTo(this.#tree);
        else if (times && times[1] > times[0]) this.#zoomTo({ from: times[0], to: times[1] });
    }

    /**
     * What the trace knows about a span: `origin` (the beginning of the trace), `flaws`, `hasParent`, `ownTime` (in
     * which no child ran; `null` without children), `critical` (its time on the critical path) and `share` (of it in
     * the trace's time).
     */
    placeOf(node) {
        const times = timesOf(node);
        const hasOwnTime = times !== null && node.children.length > 0;
        const critical = lengthOf(this.#critical.get(node) ?? []);
        return {
            origin: this.#tree.from,
            flaws: node.flaws,
            hasParent: node.parent !== null,
            ownTime: hasOwnTime ? lengthOf(gapsBetween(node.children, ...times)) : null,
            critical,
            share: critical / this.#length,
        };
    }

    /** The spans on which most of the critical path lies: `[node, share]`. */
    longest(most) {
        const shares = [...this.#critical].map(([node, pieces]) => [node, lengthOf(pieces) / this.#length]);
        return shares.sort((a, b) => b[1] - a[1]).slice(0, most);
    }

    get #length() {
        return Math.max(1, this.#tree.to - this.#tree.from);
    }

    #zoomTo({ from, to }) {
        this.#scale = new Scale(from, to);
        this.#drawRuler();
        this.#drawLines();
        this.#refresh();
    }

    #drawRuler() {
        const isLast = (us) => this.#scale.partAt(this.#tree.from + us) > LAST_LABEL;
        const ticks = this.#ticks((us) =>
            h('span', { class: isLast(us) ? 'tick last' : 'tick' }, us === 0 ? '0' : duration(us)),
        );
        replace(
            this.#ruler,
            h('span', { class: 'ruler-title' }, 'Span'),
            h('div', { class: 'ruler-ticks' }, ticks),
            h('span', { class: 'ruler-lasted' }, 'Lasts'),
        );
    }

    #drawLines() {
        const lines = this.#ticks(() => h('i', { class: 'line' }));
        const gaps = gapsBetween(this.#tree.order, this.#tree.from, this.#tree.to);
        const long = gaps.filter(([from, to]) => to - from > LEAST_GAP * this.#length);
        const marks = long.map(([from, to]) => this.#scale.place(h('i', { class: 'trace-gap' }), from, to));
        replace(this.#lines, h('div', { class: 'lines-in' }, lines, marks));
    }

    /** An element at each round time; `make` is given the time since the trace began. */
    #ticks(make) {
        const origin = this.#tree.from;
        return this.#scale.ticks(origin).map((us) => this.#scale.place(make(us - origin), us, us));
    }

    #refresh() {
        this.#rows = visibleRows(this.#tree.order, this.#folded);
        this.#scroller.setAttribute('aria-rowcount', this.#rows.length);
        this.#list.show(this.#rows.length);
    }

    #row(index) {
        const node = this.#rows[index];
        return spanRow(node, {
            scale: this.#scale,
            origin: this.#tree.from,
            critical: this.#critical.get(node) ?? [],
            isFolded: this.#folded.has(node),
            isActive: index === this.#list.active,
            open: () => this.#open(index),
            fold: () => this.#setFolded(node, !this.#folded.has(node)),
        });
    }

    #move(index) {
        if (this.#rows.length === 0) return;
        this.#list.activate(index);
        this.#on.moved(this.active);
    }

    #open(index) {
        this.#list.activate(index);
        this.#on.opened(this.active);
    }

    #setFolded(node, isFolded) {
        if (isFolded) this.#folded.add(node);
        else this.#folded.delete(node);
        this.#refresh();
        this.#list.activate(this.#rows.indexOf(node));
    }

    #foldOrGoUp() {
        const node = this.active;
        if (!node) return;
        if (node.children.length > 0 && !this.#folded.has(node)) this.#setFolded(node, true);
        else if (node.parent) this.#move(this.#rows.indexOf(node.parent));
    }

    #unfoldOrGoDown() {
        const node = this.active;
        if (!node) return;
        if (this.#folded.has(node)) this.#setFolded(node, false);
        else if (node.children.length > 0) this.#move(this.#list.active + 1);
    }

    /** Goes to the next node that `isMeant`, also below folded ones; after the last one to the first. */
    #goToNext(isMeant) {
        const order = this.#tree.order;
        const next = order.slice(order.indexOf(this.active) + 1).find(isMeant) ?? order.find(isMeant);
        if (!next) return;
        this.activate(next);
        this.#on.moved(next);
    }
}
