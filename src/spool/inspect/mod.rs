//! Reading a spool from outside, while its owners run.

pub(in crate::spool) mod check;
pub(in crate::spool) mod view;
