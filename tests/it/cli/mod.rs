//! The program.

mod arguments;
mod check;
mod demo;
mod flows;
mod help;
mod long;
mod otlp;
mod view;
mod watch;
