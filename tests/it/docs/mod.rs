//! What is written about the library and its sources.

mod house_rules;
mod readme;
