// The page's heartbeat: the state of the spool, each second while the page can be seen.

const INTERVAL_MS = 1000;

/** Calls `beat(now)` with each answer, and `lost(error)` when there is none. A picture is asked once. */
export function startPulse(source, beat, lost) {
    let timer = 0;
    document.addEventListener('visibilitychange', ask);
    ask();

    async function ask() {
        clearTimeout(timer);
        if (document.hidden) return;
        const asked = performance.now();
        try {
            beat(await source.now());
        } catch (error) {
            lost(error);
        }
        clearTimeout(timer);
        if (source.isLive) timer = setTimeout(ask, Math.max(100, asked + INTERVAL_MS - performance.now()));
    }
}
