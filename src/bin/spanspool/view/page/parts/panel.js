// The panel beside a list, or over it on a small screen.

import { h, replace } from './dom.js';

export class Panel {
    element;

    /** `label` is what a screen reader calls it. It is closed at first. */
    constructor(label) {
        const attributes = { class: 'panel scrolls', tabindex: '-1', 'aria-label': label, hidden: true };
        this.element = h('aside', attributes);
    }

    get isOpen() {
        return !this.element.hidden;
    }

    set isOpen(isOpen) {
        this.element.hidden = !isOpen;
    }

    /** Whether nothing else can be seen. */
    get coversAll() {
        return this.isOpen && getComputedStyle(this.element).position === 'fixed';
    }

    /** Shows `content` from its beginning. A focus that was in the panel stays in it. */
    put(content) {
        const hadFocus = this.element.contains(document.activeElement);
        replace(this.element, content);
        this.element.scrollTop = 0;
        if (hadFocus) this.focus();
    }

    focus() {
        (this.element.querySelector('h2') ?? this.element).focus({ preventScroll: true });
    }
}

/** The head of what a panel shows: `title`, the button that closes it, and `chips` below. */
export function panelHead(title, close, chips) {
    return h(
        'header',
        { class: 'panel-head' },
        h('h2', { tabindex: '-1' }, title),
        h('button', { type: 'button', class: 'quiet', onclick: close, 'aria-label': 'Close' }, '\u2715'),
        h('p', { class: 'chips' }, chips),
    );
}

/** Facts as a list: `[label, value]`, or null for what there isn't. */
export function factList(facts) {
    const present = facts.filter(Boolean);
    return h(
        'dl',
        { class: 'facts' },
        present.map(([label, value]) => [h('dt', {}, label), h('dd', {}, value)]),
    );
}
