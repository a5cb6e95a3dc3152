// A button that copies.

import { announce } from './announce.js';
import { h, setText } from './dom.js';

const SAID_FOR_MS = 1500;

/** A button that copies what `textOf` gives when it is pressed; `what` names it: "Copy command". */
export function copyButton(what, textOf) {
    const button = h('button', { type: 'button', class: 'quiet', onclick: copyIt }, `Copy ${what}`);
    async function copyIt() {
        const done = await copied(textOf());
        setText(button, done ? 'Copied' : 'Not allowed to copy');
        announce(done ? `${what} copied` : 'The browser does not allow to copy');
        setTimeout(() => setText(button, `Copy ${what}`), SAID_FOR_MS);
    }
    return button;
}

async function copied(text) {
    try {
        await navigator.clipboard.writeText(text);
        return true;
    } catch {
        return false;
    }
}
