// Rows of a long list that are fetched page by page, when they come into view.

/** Pages further from the view are forgotten, so that a walk through millions of rows takes no more memory. */
const MOST_KEPT = 40;

export class Pages {
    /** The rows that there are; `null` until the first page is there. */
    total = null;
    #size;
    #load;
    #changed;
    #pages = new Map();
    #stale = new Set();
    #underWay = new Set();
    #epoch = 0;

    /** `load(offset, limit)` gives `{total, rows}`; `changed(error)` is called when a page is there or can't be. */
    constructor(size, load, changed) {
        this.#size = size;
        this.#load = load;
        this.#changed = changed;
    }

    /** The row at `index` if it is there. */
    at(index) {
        return this.#pages.get(Math.floor(index / this.#size))?.[index % this.#size];
    }

    /** Forgets everything, for other rows are meant from now on. */
    reset() {
        this.#epoch += 1;
        this.#pages.clear();
        this.#underWay.clear();
        this.total = null;
        this.want(0, 0);
    }

    /** Fetches again what is in view, and keeps showing the old rows until then. */
    renew(first, last) {
        this.#epoch += 1;
        this.#underWay.clear();
        this.#stale = new Set(this.#pages.keys());
        this.want(first, last);
    }

    /** Fetches the rows from `first` to `last`, as far as they are not there. */
    want(first, last) {
        const [from, to] = [Math.floor(first / this.#size), Math.floor(last / this.#size)];
        for (let page = from; page <= to; page += 1) {
            const isThere = this.#pages.has(page) && !this.#stale.has(page);
            if (!isThere && !this.#underWay.has(page)) this.#fetch(page);
        }
        this.#forgetFarFrom(from);
    }

    async #fetch(page) {
        const epoch = this.#epoch;
        this.#underWay.add(page);
        try {
            const { total, rows } = await this.#load(page * this.#size, this.#size);
            if (epoch !== this.#epoch) return;
            this.total = total;
            this.#pages.set(page, rows);
            this.#stale.delete(page);
            this.#underWay.delete(page);
            this.#changed(null);
        } catch (error) {
            if (epoch !== this.#epoch) return;
            // Stays under way: it is tried again when the rows are asked for again, not at once and for ever.
            this.#changed(error);
        }
    }

    #forgetFarFrom(page) {
        if (this.#pages.size <= MOST_KEPT) return;
        const byDistance = [...this.#pages.keys()].sort((a, b) => Math.abs(b - page) - Math.abs(a - page));
        for (const far of byDistance.slice(0, this.#pages.size - MOST_KEPT)) this.#pages.delete(far);
    }
}
