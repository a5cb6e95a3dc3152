// Rows of a long list that are fetched page by page, when they come into view.

import { Retry } from './retry.js';

/** Pages further from the view are forgotten, so that a walk through millions of rows takes no more memory. */
const MOST_KEPT = 40;
/** A page is fetched when the reader is so many rows away from it. */
const AHEAD = 80;

export class Pages {
    /** The rows that there are; `null` until the first page is there. */
    total = null;
    #size;
    #load;
    #changed;
    #pages = new Map();
    #stale = new Set();
    #underWay = new Set();
    #failed = new Map();
    /** The first and the last page that are looked at. */
    #inView = [0, 0];
    #epoch = 0;

    /** `load(offset, limit)` gives `{total, rows}`; `changed()` is called when a page is there or can't be had. */
    constructor(size, load, changed) {
        this.#size = size;
        this.#load = load;
        this.#changed = changed;
    }

    /** The row at `index` if it is there. */
    at(index) {
        return this.#pages.get(Math.floor(index / this.#size))?.[index % this.#size];
    }

    /**
     * What can't be had of that which is looked at, or `null`: `rows` (the first and the last, from 1 on; `null` as
     * long as nothing is known), `isOld` (old ones are shown instead) and `error`.
     */
    get missing() {
        const [from, to] = this.#inView;
        const pages = [...this.#failed.keys()].filter((page) => page >= from && page <= to).sort((a, b) => a - b);
        if (pages.length === 0) return null;
        const last = Math.min((pages.at(-1) + 1) * this.#size, this.total ?? 0);
        return {
            rows: this.total === null ? null : [pages[0] * this.#size + 1, last],
            isOld: pages.every((page) => this.#pages.has(page)),
            error: this.#failed.get(pages[0]).error,
        };
    }

    /** Forgets everything, for other rows are meant from now on. */
    reset() {
        this.#epoch += 1;
        for (const known of [this.#pages, this.#stale, this.#underWay, this.#failed]) known.clear();
        this.total = null;
        this.want(0, 0);
    }

    /** Fetches again what is in view, and keeps showing the old rows until then. */
    renew(first, last) {
        // What is under way may be old when it comes.
        this.#stale = new Set([...this.#pages.keys(), ...this.#underWay]);
        this.want(first, last);
    }

    /**
     * Fetches the rows from `first` to `last`, as far as they are not there. Those that could not be had are tried
     * again when they are asked for after a wait.
     */
    want(first, last) {
        const pageOf = (index) => Math.floor(index / this.#size);
        const [from, to] = [pageOf(first), pageOf(last)];
        this.#inView = [from, to];
        const [ahead, end] = [Math.max(0, first - AHEAD), Math.min(last + AHEAD, (this.total ?? 1) - 1)];
        for (let page = pageOf(ahead); page <= Math.max(to, pageOf(end)); page += 1) {
            const isThere = this.#pages.has(page) && !this.#stale.has(page);
            const isAwaited = this.#underWay.has(page) || this.#failed.get(page)?.retry.isDue === false;
            if (!isThere && !isAwaited) this.#fetch(page);
        }
        this.#forgetFarFrom(from);
    }

    async #fetch(page) {
        const epoch = this.#epoch;
        this.#underWay.add(page);
        this.#stale.delete(page);
        const { found, error } = await this.#outcome(page);
        if (epoch !== this.#epoch) return;
        this.#underWay.delete(page);
        if (found) {
            this.total = found.total;
            this.#pages.set(page, found.rows);
            this.#failed.delete(page);
        } else {
            this.#stale.add(page);
            this.#noteFailed(page, error);
        }
        this.#changed();
    }

    async #outcome(page) {
        try {
            return { found: await this.#load(page * this.#size, this.#size) };
        } catch (error) {
            return { error };
        }
    }

    #noteFailed(page, error) {
        const retry = this.#failed.get(page)?.retry ?? new Retry();
        retry.failed();
        this.#failed.set(page, { retry, error });
    }

    #forgetFarFrom(page) {
        if (this.#pages.size <= MOST_KEPT) return;
        const byDistance = [...this.#pages.keys()].sort((a, b) => Math.abs(b - page) - Math.abs(a - page));
        for (const far of byDistance.slice(0, this.#pages.size - MOST_KEPT)) this.#pages.delete(far);
    }
}
