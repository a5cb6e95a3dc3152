//! Reading a spool from outside, while its owners run.

pub(super) mod check;
pub(super) mod owner;
pub(super) mod reader;
pub(super) mod view;
