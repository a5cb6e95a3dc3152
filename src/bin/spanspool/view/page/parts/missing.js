// What a list lacks, said above it.

import { announce } from './announce.js';
import { h, setText } from './dom.js';
import { count } from './format.js';

export class MissingNote {
    #what;

    element = h('p', { class: 'note bad', dir: 'auto', hidden: true });

    /** `what` the rows of the list are: "Traces". */
    constructor(what) {
        this.#what = what;
    }

    /** `missing` is what `Pages` says. */
    show(missing) {
        const wasHidden = this.element.hidden;
        this.element.hidden = missing === null;
        if (missing === null) return;
        setText(this.element, this.#textOf(missing));
        // The reader asked for these rows.
        if (wasHidden) announce(this.element.textContent);
    }

    #textOf({ rows, isOld, error }) {
        const which = rows === null ? this.#what : `${this.#what} ${count(rows[0])} to ${count(rows[1])}`;
        const how = isOld ? 'are shown as they were' : 'are not loaded';
        return `${which} ${how}, and are tried again: ${error.message}`;
    }
}
