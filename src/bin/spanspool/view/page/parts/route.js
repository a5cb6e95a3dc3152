// What is shown, in the address behind "#": a view can be linked, and the browser's buttons lead back.

/** `{view, key, params}` of an address such as `#/trace/KEY?span=REF`. */
export function parseRoute(hash) {
    const [path, query = ''] = hash.replace(/^#\/?/, '').split(/\?(.*)/s);
    const [view, key = ''] = path.split(/\/(.*)/s);
    return { view, key: decoded(key), params: new URLSearchParams(query) };
}

function decoded(text) {
    try {
        return decodeURIComponent(text);
    } catch {
        return text;
    }
}

/** The address of a view. A parameter that is null or empty is left out. */
export function routeTo(view, key = '', params = {}) {
    const query = new URLSearchParams(Object.entries(params).filter(([, value]) => value));
    const path = key === '' ? view : `${view}/${encodeURIComponent(key.toWellFormed())}`;
    return `#/${path}${query.size ? `?${query}` : ''}`;
}

/** Goes to an address, as if a link had been followed. */
export function follow(route) {
    location.hash = route;
}

/** Notes a detail of what is already shown, such as the selected span, without a step in the browser's history. */
export function note(route) {
    history.replaceState(null, '', route);
}
