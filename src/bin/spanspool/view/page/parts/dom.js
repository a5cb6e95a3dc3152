// Elements. A text becomes text nodes and nothing else, so no text can turn into markup, whatever it holds.

import { piecesOf } from './text.js';

/**
 * An element with attributes, listeners (`onclick`) and children. A child is a node, a text, a list of children, or
 * null for none. An attribute that is null or false is left out.
 */
export function h(tag, attributes = {}, ...children) {
    return fill(document.createElement(tag), attributes, children);
}

/** An element of SVG. */
export function svg(tag, attributes = {}, ...children) {
    return fill(document.createElementNS('http://www.w3.org/2000/svg', tag), attributes, children);
}

function fill(element, attributes, children) {
    for (const [name, value] of Object.entries(attributes)) {
        if (value === null || value === undefined || value === false) continue;
        if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
        else element.setAttribute(name, value === true ? '' : value);
    }
    add(element, children);
    return element;
}

function add(element, child) {
    if (child === null || child === undefined || child === false) return;
    if (Array.isArray(child)) child.forEach((each) => add(element, each));
    else element.append(child instanceof Node ? child : textNodes(String(child)));
}

/** `text`, with the unseen characters in it named and marked. */
function textNodes(text) {
    const nodes = document.createDocumentFragment();
    for (const piece of piecesOf(text)) {
        nodes.append(piece.unseen ? unseen(piece.text) : piece.text);
    }
    return nodes;
}

function unseen(name) {
    const mark = document.createElement('span');
    mark.className = 'unseen';
    mark.textContent = name;
    return mark;
}

/** Puts `children` in the place of what `element` holds. */
export function replace(element, ...children) {
    element.replaceChildren();
    add(element, children);
}

/** Changes the text of `element` only if it differs: a selection in it survives, and nothing is announced. */
export function setText(element, text) {
    if (element.textContent !== text) element.textContent = text;
}

/** A text from a span within a line: its direction is its own and turns nothing beside it around. */
export function said(text, attributes = {}) {
    return h('bdi', attributes, text);
}
