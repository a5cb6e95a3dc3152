// Where the time of a trace went: the critical path, and the gaps.

import { timesOf } from './tree.js';

/**
 * The critical path: for each moment of the trace, the span that had to end before the trace could. A map from nodes
 * to `[from, to]` pieces.
 *
 * It is walked from the end: a parent's last piece comes after the child that ended last; then the walk goes on in
 * this child, and from the child's beginning in the parent again.
 */
export function criticalPath({ roots, from, to }) {
    const pieces = new Map();
    const stack = [visit(null, roots, from, to)];
    while (stack.length > 0) {
        const visited = stack.at(-1);
        const child = nextChild(visited);
        const ended = child ? child.end : visited.from;
        if (visited.node && visited.at > ended) addPiece(pieces, visited.node, [ended, visited.at]);
        if (child) {
            visited.at = child.start;
            stack.push(visit(child.node, child.node.children, child.start, child.end));
        } else {
            stack.pop();
        }
    }
    return pieces;
}

/** A node of which the time between `from` and `to` is to be explained, from `to` downwards. */
function visit(node, children, from, to) {
    const ended = children.flatMap((child) => {
        const [start, end] = within(child, from, to);
        return start < end ? [{ node: child, start, end }] : [];
    });
    ended.sort((a, b) => a.end - b.end);
    return { node, from, at: to, ended };
}

/** The child that ended last before the moment that the walk is at. */
function nextChild({ ended, at }) {
    while (ended.length > 0) {
        const child = ended.pop();
        if (child.end <= at) return child;
    }
    return null;
}

function addPiece(pieces, node, piece) {
    const those = pieces.get(node);
    if (those) those.push(piece);
    else pieces.set(node, [piece]);
}

/** The part of a node's time between `from` and `to`; empty (`start >= end`) if there is none. */
function within(node, from, to) {
    const times = timesOf(node);
    return times ? [Math.max(times[0], from), Math.min(times[1], to)] : [to, from];
}

/** The pieces between `from` and `to` in which none of `nodes` ran. */
export function gapsBetween(nodes, from, to) {
    const ran = nodes.map((node) => within(node, from, to)).filter(([start, end]) => start <= end);
    ran.sort((a, b) => a[0] - b[0]);
    const gaps = [];
    let at = from;
    for (const [start, end] of ran) {
        if (start > at) gaps.push([at, start]);
        at = Math.max(at, end);
    }
    if (at < to) gaps.push([at, to]);
    return gaps;
}

/** The time of all pieces together. */
export function lengthOf(pieces) {
    return pieces.reduce((sum, [from, to]) => sum + to - from, 0);
}

/** The pieces, with those that lie closer than `least` joined: more could not be told apart in a picture. */
export function joined(pieces, least) {
    const result = [];
    for (const [from, to] of pieces.toSorted((a, b) => a[0] - b[0])) {
        const last = result.at(-1);
        if (last && from - last[1] < least) last[1] = Math.max(last[1], to);
        else result.push([from, to]);
    }
    return result;
}
