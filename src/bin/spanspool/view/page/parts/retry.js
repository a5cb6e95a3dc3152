// When what failed is due to be tried again: after a wait that doubles each time.

const FIRST_MS = 1000;
const LONGEST_MS = 30_000;

export class Retry {
    #wait = FIRST_MS;
    #due = 0;

    get isDue() {
        return performance.now() >= this.#due;
    }

    /** How long until then. */
    get waitMs() {
        return Math.max(0, this.#due - performance.now());
    }

    /** It failed once more. */
    failed() {
        this.#due = performance.now() + this.#wait;
        this.#wait = Math.min(2 * this.#wait, LONGEST_MS);
    }
}
