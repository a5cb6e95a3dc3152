//! Shop: the example of OpenTelemetry in several languages. It prints each order once what was recorded of it is durable.

use std::iter;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use testkit::host::Host;
use testkit::ingest::{Answer, Ingest};
use testkit::succeed;

/// Kills the shop that `run` starts while its receiver is down, and lets another one end once it is up. Returns the
/// receiver, with what came since then, and the orders of both.
pub fn shop_is_killed_and_goes_on(run: impl Fn(&Ingest) -> Host) -> (Ingest, Vec<String>) {
    let is_up = Arc::new(AtomicBool::new(false));
    let receiver = {
        let is_up = Arc::clone(&is_up);
        Ingest::start(move |_| Answer::status(if is_up.load(Relaxed) { 200 } else { 503 })).unwrap()
    };

    let mut killed = run(&receiver);
    let mut orders: Vec<String> = (0..50).map(|_| killed.line()).collect();
    killed.kill();
    is_up.store(true, Relaxed);
    receiver.take_requests();
    let mut ended = run(&receiver);
    orders.extend((0..5).map(|_| ended.line()));
    succeed(Command::new("kill").args(["-TERM", &ended.pid().to_string()]));
    let last = iter::repeat_with(|| ended.line()).find(|line| !line.starts_with("order-")).unwrap();
    assert_eq!(last, "all delivered");
    ended.end();
    (receiver, orders)
}
