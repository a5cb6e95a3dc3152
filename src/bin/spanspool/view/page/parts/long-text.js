// Texts that may be long: the beginning, and a button for more.

import { h, replace } from './dom.js';
import { bytes } from './format.js';
import { clip } from './text.js';

const FIRST_CHARS = 1200;
const FIRST_LINES = 16;
/** How much one press of the button adds: more at once would make the page stand still. */
const STEP_CHARS = 256 * 1024;

/** A block with `text`, cut after `firstChars` until the reader asks for more. */
export function longText(text, { tag = 'div', name = 'prose', firstChars = FIRST_CHARS } = {}) {
    const block = h('div', { class: 'long' });
    show(Math.min(firstChars, endOfLine(text, FIRST_LINES)));
    return block;

    function show(chars) {
        const rest = text.length - chars;
        // A button for a few characters would be longer than they are.
        const whole = rest < 80;
        const shown = h(tag, { class: name, dir: 'auto' }, whole ? text : clip(text, chars));
        replace(block, shown, whole ? null : more(chars, rest));
    }

    function more(chars, rest) {
        const step = Math.min(rest, STEP_CHARS);
        const label = step === rest ? `Show all, ${bytes(rest)} more` : `Show ${bytes(step)} of ${bytes(rest)} more`;
        return h('button', { type: 'button', class: 'quiet', onclick: grow }, label);
        function grow() {
            show(chars + step);
            // The button that had the focus may be gone.
            (block.querySelector('button') ?? focusable(block.firstChild)).focus({ preventScroll: true });
        }
    }
}

function focusable(element) {
    element.tabIndex = -1;
    return element;
}

/** Where the line after `lines` lines begins. */
function endOfLine(text, lines) {
    let at = -1;
    for (let line = 0; line < lines; line += 1) {
        at = text.indexOf('\n', at + 1);
        if (at < 0) return text.length;
    }
    return at;
}
