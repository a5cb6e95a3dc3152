// Search and filters of the list of traces.

import { h } from '../parts/dom.js';
import { parseDuration } from '../parts/format.js';

/** The list is asked for again when the reader has paused for so long. */
const TYPING_MS = 150;

export class TraceFilter {
    #changed;
    #timer = 0;
    #text;
    #least;
    #most;
    #errors;
    #rejected;

    element;

    /** `params` are those of the address; `changed` is called when another list is meant. */
    constructor(params, changed) {
        this.#changed = changed;
        const type = { type: 'search', class: 'search' };
        this.#text = this.#field('Search', 'Search names, ids, services', params.get('q'), type);
        this.#least = this.#field('Shortest duration', 'min 200ms', params.get('min'), { class: 'short' });
        this.#most = this.#field('Longest duration', 'max 5s', params.get('max'), { class: 'short' });
        this.#errors = this.#box(params.has('errors'));
        this.#rejected = this.#box(params.has('rejected'));
        this.element = h(
            'form',
            { class: 'filter', role: 'search', onsubmit: (event) => event.preventDefault() },
            this.#text,
            toggle(this.#errors, 'Errors'),
            toggle(this.#rejected, 'Rejected'),
            this.#least,
            this.#most,
        );
    }

    /** What the source is asked for. */
    get query() {
        return {
            q: this.#text.value,
            errors: Number(this.#errors.checked),
            rejected: Number(this.#rejected.checked),
            min_ms: limitOf(this.#least),
            max_ms: limitOf(this.#most),
        };
    }

    /** What the address says. */
    get params() {
        return {
            q: this.#text.value,
            errors: this.#errors.checked && '1',
            rejected: this.#rejected.checked && '1',
            min: this.#least.value,
            max: this.#most.value,
        };
    }

    get isSet() {
        return Object.values(this.params).some(Boolean);
    }

    focus() {
        this.#text.focus();
        this.#text.select();
    }

    /** Esc in a field empties it, and in an empty one calls `leave`. */
    escape(leave) {
        const field = document.activeElement;
        if (![this.#text, this.#least, this.#most].includes(field)) return;
        if (field.value === '') {
            leave();
        } else {
            field.value = '';
            this.#changed();
        }
    }

    #field(label, placeholder, value, more) {
        const typed = () => {
            clearTimeout(this.#timer);
            this.#timer = setTimeout(this.#changed, TYPING_MS);
        };
        const attributes = { placeholder, value, autocomplete: 'off', spellcheck: 'false', maxlength: 200 };
        return h('input', { 'aria-label': label, ...attributes, ...more, oninput: typed });
    }

    #box(isChecked) {
        return h('input', { type: 'checkbox', checked: isChecked, onchange: this.#changed });
    }
}

function toggle(box, label) {
    return h('label', { class: 'toggle' }, box, h('span', {}, label));
}

/** The duration in a field in milliseconds, or null. A field with anything else is marked. */
function limitOf(field) {
    const isEmpty = field.value.trim() === '';
    const ms = isEmpty ? null : parseDuration(field.value);
    field.setAttribute('aria-invalid', String(!isEmpty && ms === null));
    return ms;
}
