// The panel with a span: what the trace knows about it at once, and all that it says when its item is there.

import { describe } from '../model/description.js';
import { FLAWS } from '../model/tree.js';
import { copyButton } from '../parts/copy.js';
import { h, said } from '../parts/dom.js';
import { bytes, duration, exactTime, percent } from '../parts/format.js';
import { readable } from '../parts/json.js';
import { Panel, factList, panelHead } from '../parts/panel.js';
import { Retry } from '../parts/retry.js';
import { routeTo } from '../parts/route.js';
import { stateChip } from '../parts/state.js';
import { clip } from '../parts/text.js';
import { spanContent } from './span-content.js';

/** A reader who steps through spans shall not ask for each. */
const SETTLE_MS = 60;
const TITLE_CHARS = 500;
const CHIP_CHARS = 80;

export class SpanPanel extends Panel {
    #source;
    #on;
    #timer = 0;
    #wanted = null;

    /** `on.close()`, `on.zoom()` and `on.selectParent()` are called for the buttons. */
    constructor(source, on) {
        super('Span');
        this.#source = source;
        this.#on = on;
    }

    /** Shows a span. `row` is what the list of spans has about it, `place` what the trace knows, or null. */
    show(row, place) {
        this.#wanted = row.ref;
        this.put(this.#known(row, place, 'Reading it\u2026'));
        clearTimeout(this.#timer);
        this.#timer = setTimeout(() => this.#fill(row, place), SETTLE_MS);
    }

    /** What can't be read now is tried again as long as it is looked at. */
    async #fill(row, place, retry = new Retry()) {
        const { content, mayComeLater } = await this.#contentOrWhyNot(row, place);
        if (this.#wanted !== row.ref) return;
        this.put(content);
        if (!mayComeLater) return;
        retry.failed();
        this.#timer = setTimeout(() => this.isOpen && this.#fill(row, place, retry), retry.waitMs);
    }

    async #contentOrWhyNot(row, place) {
        try {
            const answer = await this.#source.span(row.ref);
            const span = describe(answer);
            const facts = place && [
                place.flaws.map((flaw) => h('p', { class: 'note' }, FLAWS[flaw])),
                factsOf(row, place, this.#on),
            ];
            const body = spanContent(answer, span, facts, this.#source.rawAddress(row.ref));
            return { content: [headOf(row, span, this.#on), body] };
        } catch (error) {
            const isGone = error.status === 404;
            const why = (isGone ? 'The item is no longer in the spool. ' : '') + error.message;
            return { content: this.#known(row, place, why), mayComeLater: !isGone };
        }
    }

    /** What can be said without the item. */
    #known(row, place, why) {
        return [headOf(row, null, this.#on), place && factsOf(row, place, this.#on), h('p', { class: 'note' }, why)];
    }
}

function headOf(row, span, on) {
    const chip = (text) => h('span', { class: 'chip' }, said(clip(text, CHIP_CHARS)));
    return panelHead(said(clip(row.name || row.kind || row.id, TITLE_CHARS)), on.close, [
        chip(span?.kind || row.kind || 'span'),
        row.state && stateChip(row.state),
        span?.model && chip(readable(span.model)),
        row.state === 'rejected' && h('a', { href: routeTo('rejected', row.ref) }, 'Why it was rejected'),
    ]);
}

function factsOf(row, place, on) {
    const { start_us: start, end_us: end } = row;
    const hasLength = start !== null && end !== null && end > start;
    const mono = (text) => said(clip(text, TITLE_CHARS), { class: 'mono' });
    const button = (label, name, onclick) => h('button', { type: 'button', class: name, onclick }, label);
    return [
        factList([
            ['Begins', start === null ? 'unknown' : beginsText(start, place.origin)],
            ['Lasts', start === null || end === null ? 'unknown' : duration(end - start)],
            place.ownTime !== null && ['Own time', duration(place.ownTime)],
            place.critical > 0 && ['Critical path', criticalText(place)],
            ['Id', mono(row.id)],
            row.parent && [
                'Parent',
                place.hasParent ? button(mono(row.parent), 'link', on.selectParent) : mono(row.parent),
            ],
            row.service && ['Service', said(clip(row.service, TITLE_CHARS))],
            ['Lane', [mono(row.lane), `, ${bytes(row.bytes)}`]],
        ]),
        h(
            'p',
            { class: 'buttons' },
            hasLength && button('Zoom to it', 'quiet', on.zoom),
            copyButton('id', () => row.id),
        ),
    ];
}

function beginsText(start, origin) {
    return [`+${duration(start - origin)} `, h('span', { class: 'muted' }, exactTime(start))];
}

function criticalText({ critical, share }) {
    return `${duration(critical)}, ${percent(share)} of the trace`;
}
