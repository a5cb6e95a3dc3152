//! The library as a guest of its process: forks, exits, threads.

mod exit;
mod few_threads;
mod fork;
mod idle;
mod long;
mod manners;
mod sanitizers;
