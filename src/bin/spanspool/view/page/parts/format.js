// Numbers, times and sizes as people read them.

const WHOLE = new Intl.NumberFormat('en');
const THREE_DIGITS = new Intl.NumberFormat('en', { maximumSignificantDigits: 3 });
const CLOCK = { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' };
const TIME = new Intl.DateTimeFormat('en-GB', { ...CLOCK, fractionalSecondDigits: 3 });
const DAY = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' });
const DAY_AND_YEAR = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', year: 'numeric' });

/** "1,234". */
export function count(n) {
    return WHOLE.format(n);
}

/** "1 span", "1,234 spans". */
export function counted(n, noun) {
    return `${count(n)} ${noun}${n === 1 ? '' : 's'}`;
}

/** "0.4", "37", "1,200": a rate, a second. */
export function rate(n) {
    return n < 100 ? THREE_DIGITS.format(n) : count(Math.round(n));
}

const DURATIONS = [
    [86_400e6, 'd'],
    [3600e6, 'h'],
    [60e6, 'min'],
    [1e6, 's'],
    [1e3, 'ms'],
    [1, 'µs'],
];

/** "3.42 s": a duration in microseconds, with three digits. Negative ones have a minus sign. */
export function duration(us) {
    const size = Math.abs(us);
    const [unit, name] = DURATIONS.find(([least]) => size >= least) ?? [1, 'µs'];
    const text = size >= 1000 * unit ? count(Math.round(size / unit)) : THREE_DIGITS.format(size / unit);
    return `${us < 0 ? '\u2212' : ''}${text}\u202f${name}`;
}

const SIZES = [
    [2 ** 30, 'GiB'],
    [2 ** 20, 'MiB'],
    [2 ** 10, 'KiB'],
];

/** "1.5 MiB". */
export function bytes(n) {
    const [unit, name] = SIZES.find(([least]) => n >= least) ?? [1, 'B'];
    return `${n < 1000 * unit ? THREE_DIGITS.format(n / unit) : count(Math.round(n / unit))}\u202f${name}`;
}

/** "62 %". */
export function percent(part) {
    return part > 0 && part < 0.01 ? '<\u202f1\u202f%' : `${Math.round(part * 100)}\u202f%`;
}

/** The time of day, with the day if it isn't today's and the year if it isn't this one. Out of range: the number. */
export function time(us, now = new Date()) {
    const at = new Date(us / 1000);
    if (Number.isNaN(at.getTime())) return `${count(us)}\u202fµs`;
    if (at.toDateString() === now.toDateString()) return TIME.format(at);
    const day = at.getFullYear() === now.getFullYear() ? DAY : DAY_AND_YEAR;
    return `${day.format(at)}, ${TIME.format(at)}`;
}

/** The time in UTC, to the microsecond: "2026-11-22T10:48:31.475678Z". */
export function exactTime(us) {
    const at = new Date(Math.floor(us / 1000));
    if (Number.isNaN(at.getTime())) return `${us} µs`;
    const micros = ((us % 1000) + 1000) % 1000;
    return at.toISOString().replace('Z', `${String(Math.floor(micros)).padStart(3, '0')}Z`);
}

const MILLISECONDS = { '': 1, us: 1e-3, µs: 1e-3, ms: 1, s: 1e3, m: 60e3, min: 60e3, h: 3600e3 };

/** What "200", "200ms", "1.5 s" or "2 min" is in milliseconds. `null` for what is no duration. */
export function parseDuration(text) {
    const match = /^\s*(\d+(?:\.\d+)?)\s*([a-zµ]*)\s*$/i.exec(text);
    const unit = match && MILLISECONDS[match[2].toLowerCase()];
    return unit ? Number(match[1]) * unit : null;
}
