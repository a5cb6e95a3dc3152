// The one live region: what a screen reader is told beyond the focus.

import { h, setText } from './dom.js';

const region = h('div', { class: 'only-heard', role: 'status' });

/** The element to be put into the page once. */
export function liveRegion() {
    return region;
}

/** Tells `text`. Used for what the reader asked for, never for what changes by itself. */
export function announce(text) {
    setText(region, text);
}
