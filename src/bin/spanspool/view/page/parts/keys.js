// Keys for the whole page: one letter each, and none while the reader types.

const NAMES = { ArrowDown: 'j', ArrowUp: 'k' };
const TYPED_INTO = 'input, textarea, select, [contenteditable]';
const SCROLLING = ['ArrowUp', 'ArrowDown', 'ArrowLeft', 'ArrowRight', 'PageUp', 'PageDown', 'Home', 'End'];

/** Calls what `actionsOf()` has for a pressed key: an object from keys to functions. */
export function listenForKeys(actionsOf) {
    document.addEventListener('keydown', (event) => {
        if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
        if (event.target.closest('dialog') !== null) return;
        const isTyping = event.target.closest(TYPED_INTO) !== null;
        if (isTyping && event.key !== 'Escape') return;
        // Enter on a button presses it, an arrow in a text that scrolls moves it: theirs, not ours.
        if (event.key === 'Enter' && event.target.closest('button, summary, a') !== null) return;
        if (SCROLLING.includes(event.key) && event.target.closest('.scrolls') !== null) return;
        const action = actionsOf()[NAMES[event.key] ?? event.key];
        if (!action) return;
        event.preventDefault();
        action(event);
    });
}
