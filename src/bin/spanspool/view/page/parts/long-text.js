// Texts that may be long: the beginning, and a button for more.

import { h, replace } from './dom.js';
import { bytes } from './format.js';
import { clip } from './text.js';

/** How much one press of the button adds: more at once would make the page stand still. */
const STEP_CHARS = 256 * 1024;
/** A button for fewer characters would be longer than they are. */
const LEAST_REST = 80;

/** A block with `text`, cut after `firstChars` or `firstLines` until the reader asks for more. */
export function longText(text, { tag = 'div', name = 'prose', firstChars = 1200, firstLines = 16 } = {}) {
    const block = h('div', { class: 'long' });
    show(Math.min(firstChars, endOfLines(text, firstLines)));
    return block;

    function show(chars) {
        const rest = text.length - chars;
        const isWhole = rest < LEAST_REST;
        const shown = h(tag, { class: name, dir: 'auto', tabindex: '-1' }, isWhole ? text : clip(text, chars));
        replace(block, shown, !isWhole && moreButton(chars, rest));
    }

    function moreButton(chars, rest) {
        const step = Math.min(rest, STEP_CHARS);
        const label = step === rest ? `Show all, ${bytes(rest)} more` : `Show ${bytes(step)} of ${bytes(rest)} more`;
        const grow = () => {
            show(chars + step);
            // The button that had the focus is gone: it goes to the next one, or to the text.
            block.lastElementChild.focus({ preventScroll: true });
        };
        return h('button', { type: 'button', class: 'quiet', onclick: grow }, label);
    }
}

/** Where the line after the first `lines` begins. */
function endOfLines(text, lines) {
    let at = -1;
    for (let line = 0; line < lines; line += 1) {
        at = text.indexOf('\n', at + 1);
        if (at < 0) return text.length;
    }
    return at;
}
