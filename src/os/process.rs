//! Process: what the operating system says about this process.

#![allow(unsafe_code)]

/// The effective user id.
pub(crate) fn user_id() -> u32 {
    // SAFETY: no memory is involved.
    unsafe { libc::geteuid() }
}

/// What stands in the way of this process at what `owner` and `group` have, and what to do: the end of a sentence that
/// begins with its path.
pub(crate) fn not_ours(owner: u32, group: u32) -> String {
    let me = user_id();
    format!(
        "belongs to user {owner}, not to {me}: run as that user (setpriv --reuid={owner} --regid={group} \
         --clear-groups …), or give it away with chown -R"
    )
}

/// How long a file may become that this process writes (RLIMIT_FSIZE); `None` without a limit.
pub(crate) fn file_size_limit() -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the call writes `limit` only.
    unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &raw mut limit) };
    (limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
}
