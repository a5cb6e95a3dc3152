// The nesting of a trace's spans. Ids and parents are what somebody wrote, so each rule of a tree may be broken; what
// was mended is noted as a flaw of the span.

/** What is wrong with a span's place or times, in words. */
export const FLAWS = {
    missing: 'Its parent is not in the spool.',
    cycle: 'Its parents lead back to itself.',
    equal: 'Another span has the same id.',
    backwards: 'It ends before it begins.',
    timeless: 'It has no usable times.',
    far: 'Its times are far from those of the other spans.',
};

/** Spans whose beginnings are further from the middle one than this don't set the scale. */
const FAR_US = 7 * 86_400e6;

/**
 * The spans of a trace, in the order of display: each node with its `span`, `parent`, `children`, `depth`, `flaws`,
 * `size` (the nodes of its subtree, itself included) and `errorsBelow`; and the times between which they lie.
 */
export function nest(spans) {
    const nodes = spans.map((span) => ({
        span,
        parent: null,
        children: [],
        depth: 0,
        size: 1,
        errorsBelow: 0,
        flaws: flawsOfTimes(span),
    }));
    const roots = adopt(nodes);
    const order = depthFirst(roots);
    for (const node of order.toReversed()) addToParent(node);
    return { order, roots, ...extentOf(nodes) };
}

function flawsOfTimes({ start_us, end_us }) {
    if (start_us === null) return ['timeless'];
    return end_us !== null && end_us < start_us ? ['backwards'] : [];
}

/** Gives each node its parent, and returns the nodes without one. */
function adopt(nodes) {
    const byId = new Map();
    for (const node of nodes) {
        if (!byId.has(node.span.id)) byId.set(node.span.id, node);
        else node.flaws.push('equal');
    }
    for (const node of nodes) {
        if (!node.span.parent) continue;
        node.parent = byId.get(node.span.parent) ?? null;
        if (!node.parent) node.flaws.push('missing');
    }
    cutCycles(nodes);
    const roots = [];
    for (const node of nodes) (node.parent ? node.parent.children : roots).push(node);
    return roots;
}

/** Takes the parent from one node of each cycle: the first one, for the nodes come in the order of their times. */
function cutCycles(nodes) {
    const walkOf = new Map();
    nodes.forEach((start, walk) => {
        const met = [];
        let node = start;
        for (; node && !walkOf.has(node); node = node.parent) {
            walkOf.set(node, walk);
            met.push(node);
        }
        if (!node || walkOf.get(node) !== walk) return;
        const inCycle = new Set(met.slice(met.indexOf(node)));
        const first = inCycle.has(start) ? start : nodes.find((each) => inCycle.has(each));
        first.parent = null;
        first.flaws.push('cycle');
    });
}

/** By a stack of its own: a chain of 100,000 spans would be too deep for the engine's. */
function depthFirst(roots) {
    const order = [];
    const waiting = roots.toReversed();
    while (waiting.length > 0) {
        const node = waiting.pop();
        node.depth = node.parent ? node.parent.depth + 1 : 0;
        order.push(node);
        for (let at = node.children.length - 1; at >= 0; at -= 1) waiting.push(node.children[at]);
    }
    return order;
}

function addToParent({ parent, size, span, errorsBelow }) {
    if (!parent) return;
    parent.size += size;
    parent.errorsBelow += errorsBelow + (span.error ? 1 : 0);
}

/** The beginning and end of the trace, without spans whose times are far from the others'. */
function extentOf(nodes) {
    const timed = nodes.filter((node) => node.span.start_us !== null);
    if (timed.length === 0) return { from: 0, to: 0 };
    const starts = timed.map((node) => node.span.start_us).sort((a, b) => a - b);
    const middle = starts[Math.floor(starts.length / 2)];
    let [from, to] = [middle, middle];
    for (const node of timed) {
        const [start, end] = timesOf(node);
        if (Math.abs(start - middle) > FAR_US || Math.abs(end - middle) > FAR_US) {
            node.flaws.push('far');
            continue;
        }
        from = Math.min(from, start);
        to = Math.max(to, end);
    }
    return { from, to };
}

/** The beginning and end of a node in microseconds, the end never before the beginning. `null` without times. */
export function timesOf({ span: { start_us, end_us } }) {
    return start_us === null ? null : [start_us, Math.max(start_us, end_us ?? start_us)];
}

/** The rows to show: `order` without what is below a collapsed node. */
export function visibleRows(order, collapsed) {
    if (collapsed.size === 0) return order;
    const rows = [];
    for (let at = 0; at < order.length; at += collapsed.has(order[at]) ? order[at].size : 1) rows.push(order[at]);
    return rows;
}
