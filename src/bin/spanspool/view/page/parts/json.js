// JSON as it was written: numbers that JavaScript would round stay what they are.

const keepsSource = typeof JSON.rawJSON === 'function';

/** The value of `text`, in which a number that would change is kept as raw JSON. */
export function parseExactly(text) {
    try {
        return JSON.parse(text, keepsSource ? keepNumber : undefined);
    } catch (error) {
        // Too deeply nested for a reviver, but not for the parser alone.
        if (error instanceof RangeError) return JSON.parse(text);
        throw error;
    }
}

function keepNumber(_key, value, { source } = {}) {
    return typeof value === 'number' && String(value) !== source ? JSON.rawJSON(source) : value;
}

function isRaw(value) {
    return keepsSource && JSON.isRawJSON(value);
}

/** Whether `value` has parts. */
export function isStructured(value) {
    return typeof value === 'object' && value !== null && !isRaw(value);
}

/** `value` as indented JSON. */
export function prettyJson(value) {
    try {
        return JSON.stringify(value, null, 2) ?? '';
    } catch {
        return 'Nested too deeply to be shown here.';
    }
}

/** `value` as a text to read: strings without quotes, anything else as JSON. */
export function textOf(value) {
    if (typeof value === 'string') return value;
    return isRaw(value) ? value.rawJSON : prettyJson(value);
}

/** What `text` is as JSON if it is an object or a list, `undefined` if it is anything else. */
export function parseIfStructured(text) {
    if (typeof text !== 'string' || !/^\s*[[{]/.test(text)) return undefined;
    try {
        return parseExactly(text);
    } catch {
        return undefined;
    }
}

/** `value` to read, with the JSON that a text may hold indented. */
export function readable(value) {
    return textOf(parseIfStructured(value) ?? value);
}
