//! The library as a guest of its process: forks, exits, threads.

mod deadline;
mod exit;
mod few_threads;
mod fork;
mod idle;
mod long;
mod manners;
mod sanitizers;
