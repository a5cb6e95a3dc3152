// What became of the items of a trace, in one cell.

import { h } from './dom.js';
import { count } from './format.js';

/** An item is `gone` when it was delivered or dropped, and nobody can tell which. */
const STATES = ['rejected', 'waiting', 'delivered', 'gone'];

/** "3 rejected, 12 waiting": the counts that are not zero. */
export function stateCounts(counts) {
    const present = STATES.filter((state) => counts[state] > 0);
    return present.map((state) => stateChip(state, `${count(counts[state])} ${state}`));
}

/** A state by its colour and its name. */
export function stateChip(state, text = state) {
    return h('span', { class: `chip state-${STATES.includes(state) ? state : 'other'}` }, text);
}
