//! The library as a guest of its process: forks, exits, threads.

mod bad_log;
mod deadline;
mod descriptors;
mod exit;
mod few_bytes;
mod few_threads;
mod fork;
mod long;
mod manners;
mod sandbox;
mod sanitizers;
mod thread_refusals;
