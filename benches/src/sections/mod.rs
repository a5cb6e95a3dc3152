//! Sections: one file for each question that is asked of the library.

pub mod backlog;
pub mod drain;
pub mod enqueue;
pub mod footprint;
pub mod growth;
pub mod power;
pub mod sustained;
pub mod threads;
