// Texts that come from spans. They may hold anything, so what can't be seen or would turn its neighbours around is
// shown by its name, as in "U+202E".

// Joiners (U+200C, U+200D) stay: emoji and several scripts are written with them.
const UNSEEN = new RegExp(
    '[\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f\\u00ad\\u061c\\u180e\\u200b\\u200e\\u200f\\u2028-\\u202e' +
        '\\u2060-\\u206f\\ufeff\\ufff9-\\ufffb\\u{e0000}-\\u{e007f}\\p{Surrogate}]',
    'gu',
);

/** The name of an unseen character: its code point. */
function nameOf(character) {
    return `U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, '0')}`;
}

/** `text` cut into what is shown as it is and what is shown by its name: `[{text, unseen}]`. */
export function piecesOf(text) {
    const pieces = [];
    const whole = text.replaceAll('\r\n', '\n');
    let from = 0;
    for (const match of whole.matchAll(UNSEEN)) {
        if (match.index > from) pieces.push({ text: whole.slice(from, match.index), unseen: false });
        pieces.push({ text: nameOf(match[0]), unseen: true });
        from = match.index + match[0].length;
    }
    if (from < whole.length) pieces.push({ text: whole.slice(from), unseen: false });
    return pieces;
}

/** `text` with its unseen characters named, for where there are no elements to mark them. */
export function plain(text) {
    return piecesOf(text)
        .map((piece) => piece.text)
        .join('');
}

/** At most `most` characters of `text`, and never half of one. */
export function clip(text, most) {
    if (text.length <= most) return text;
    return `${text.slice(0, most).replace(/[\ud800-\udbff]$/, '')}\u2026`;
}
