// The attributes of OTLP: their typed values as plain ones, and lists that are spelled out key by key.

/** `[[key, value], …]` of OTLP's key-value list. */
export function attributesOf(list) {
    return (Array.isArray(list) ? list : []).map(({ key, value }) => [String(key ?? ''), valueOf(value)]);
}

function valueOf(any) {
    const { stringValue, boolValue, intValue, doubleValue, arrayValue, kvlistValue, bytesValue } = any ?? {};
    if (arrayValue) return (arrayValue.values ?? []).map(valueOf);
    if (kvlistValue) return Object.fromEntries(attributesOf(kvlistValue.values));
    if (typeof intValue === 'string' && Number.isSafeInteger(Number(intValue))) return Number(intValue);
    return stringValue ?? boolValue ?? intValue ?? doubleValue ?? bytesValue ?? null;
}

/**
 * What the keys below `prefix` spell out: of "llm.input_messages.0.message.role" and so on, a list with one entry for
 * each number. `null` if there are none.
 */
export function spelledOut(attributes, prefix) {
    const root = branch();
    let isEmpty = true;
    for (const [key, value] of attributes) {
        const steps = key.startsWith(`${prefix}.`) ? key.slice(prefix.length + 1).split('.') : [];
        if (!/^\d+$/.test(steps[0] ?? '')) continue;
        isEmpty = false;
        put(root, steps, value);
    }
    return isEmpty ? null : listed(root);
}

/** Without a prototype: a key may be `__proto__`. */
function branch() {
    return Object.create(null);
}

function put(root, steps, value) {
    let at = root;
    for (const step of steps.slice(0, -1)) {
        if (typeof at[step] !== 'object' || at[step] === null) at[step] = branch();
        at = at[step];
    }
    at[steps.at(-1)] = value;
}

/** Objects whose keys are all numbers become lists, in the order of the numbers, however large these are. */
function listed(value) {
    if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== null) return value;
    const entries = Object.entries(value).map(([key, inner]) => [key, listed(inner)]);
    const isList = entries.every(([key]) => /^\d+$/.test(key));
    if (isList) return entries.sort(([a], [b]) => a - b).map(([, inner]) => inner);
    return Object.assign(branch(), Object.fromEntries(entries));
}
