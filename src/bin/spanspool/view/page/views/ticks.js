// The marks of a time scale, at round numbers.

const MOST_TICKS = 6;
const ROUND = [1, 2, 5, 10];

/** Round times in microseconds from `from` to `to`, six at most. */
export function ticksBetween(from, to) {
    const least = (to - from) / MOST_TICKS;
    const power = 10 ** Math.floor(Math.log10(least));
    const step = ROUND.map((round) => round * power).find((each) => each >= least) ?? least;
    const ticks = [];
    for (let n = Math.ceil(from / step); n * step <= to && ticks.length <= MOST_TICKS; n += 1) ticks.push(n * step);
    return ticks;
}
