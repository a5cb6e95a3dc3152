// A stretch of time across a width: where a bar goes, and the round times to mark.

const MOST_TICKS = 6;
const ROUND = [1, 2, 5, 10];

export class Scale {
    /** `from` and `to` in microseconds; a stretch without length gets one. */
    constructor(from, to) {
        this.from = from;
        this.to = Math.max(to, from + 1);
    }

    get length() {
        return this.to - this.from;
    }

    /** Where a time is: 0 at the beginning of the stretch, 1 at its end. */
    partAt(us) {
        return (us - this.from) / this.length;
    }

    /** Places `element` from one time to another, as far as they are in the stretch. `null` if they are not. */
    place(element, from, to) {
        if (to < this.from || from > this.to) return null;
        const [left, right] = [Math.max(from, this.from), Math.min(to, this.to)];
        element.style.left = `${this.partAt(left) * 100}%`;
        element.style.width = `${((right - left) / this.length) * 100}%`;
        return element;
    }

    /** Some times in the stretch that are round numbers after `origin`. */
    ticks(origin) {
        const least = this.length / MOST_TICKS;
        const power = 10 ** Math.floor(Math.log10(least));
        const step = ROUND.map((round) => round * power).find((each) => each >= least) ?? least;
        const first = Math.ceil((this.from - origin) / step);
        const ticks = Array.from({ length: MOST_TICKS + 1 }, (_, n) => origin + (first + n) * step);
        return ticks.filter((us) => us <= this.to);
    }
}
