//! Settle: recording what became of a batch, and what is done with refused items when the disk does not take them.
//!
//! A batch waits a moment for the rejected store, then its refused items go to the end of the queue, as new items: so
//! that the others can be settled, however long the disk is full.

use std::time::{Duration, Instant};

use super::dispatch::SetAside;
use super::job::Job;
use super::{Delivery, Dispatch, InHand};
use crate::batch::Batch;
use crate::config::Level;
use crate::error::Result;
use crate::os::lock::Unpoison;
use crate::spool::{Rejection, now_unix_ms};

/// How long after the rejected store failed it is tried again.
const STORE_AGAIN_AFTER: Duration = Duration::from_secs(1);

impl Delivery {
    /// Sees to it that no item that will be sent is in the rejected store, however long the disk takes.
    pub(super) fn tidy(&self) {
        while let Err(error) = self.lane.tidy_rejected() {
            self.log.line(Level::Error, format_args!("{error}; trying again"));
            if !self.pause(STORE_AGAIN_AFTER) {
                return;
            }
        }
    }

    /// Waits for `time`; `false` when the client stops first.
    fn pause(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        while Instant::now() < until {
            let seen = self.lane.delivery_wakeup().seen();
            if self.is_stopped() {
                return false;
            }
            self.lane.delivery_wakeup().wait(seen, Some(until));
        }
        true
    }

    /// Settles what was answered after delivery was told to stop. Otherwise the next client would send it again.
    pub(super) fn settle_done(&self) {
        while let Some(job) = self.change(|dispatch, _| dispatch.take_done()) {
            let in_hand = self.in_hand(&job.stored);
            self.settle(job, in_hand);
        }
    }

    /// Puts what is left of the batch into the rejected store, and settles it.
    pub(super) fn set_aside(&self, aside: SetAside, in_hand: InHand<'_>) {
        let job = aside.into_job();
        self.settle(job, in_hand);
    }

    /// Records what became of `job`. What was refused of it goes to the rejected store first. What was not tried is
    /// obsolete.
    pub(super) fn settle(&self, mut job: Job, in_hand: InHand<'_>) {
        let had_refused = job.has_refused();
        if let Err(error) = self.store_refused(&mut job) {
            let is_put_off = job.waited_for_store && self.put_off(&mut job);
            let why = error.message().to_owned();
            let until = Instant::now() + STORE_AGAIN_AFTER;
            if self.change(|dispatch, _| dispatch.note_store_trouble(why, until)) {
                self.log.line(Level::Error, format_args!("{error}; trying again"));
            }
            if !is_put_off {
                job.waited_for_store = true;
                self.change(|dispatch, _| dispatch.wait_for_store(job));
                return in_hand.placed();
            }
        } else if had_refused && self.change(|dispatch, _| dispatch.end_store_trouble()) {
            let id = self.lane.id();
            self.log.line(Level::Info, format_args!("lane {id}: the rejected store can be written again"));
        }
        // Before the cursor moves, so that who waited for it does not see a thread still sending.
        self.change(|dispatch, _| dispatch.finish(job.first()));
        self.lane.settle(&job.stored, job.delivered, job.rejected + job.put_off);
        self.lane.count_put_off(job.put_off);
        let key_name = job.key_name();
        if job.rejected > 0 && !key_name.is_empty() {
            let was_woken = self.dispatch.lock().unpoisoned().wakes() != in_hand.wakes;
            if was_woken && self.outlet.exporter().has_named_key(key_name) {
                // The key may have come while its items were being set aside: too late for the call that set it to
                // find them.
                self.lane.note_late_key();
            }
        }
        let level = if job.rejected > 0 { Level::Error } else { Level::Debug };
        let (batch, delivered, rejected) = (&job.stored.batch, job.delivered, job.rejected);
        self.log.line(level, format_args!("batch {batch}: {delivered} items delivered, {rejected} rejected"));
        in_hand.placed();
    }

    /// Puts what was refused of `job` into the rejected store. An error: the disk does not take the rest now.
    fn store_refused(&self, job: &mut Job) -> Result<()> {
        while let Some(bad) = job.bad_items.first() {
            let answer = bad.answer.body.clone();
            let rejection = rejection(job, &bad.item, bad.answer.status, bad.refusal.reason(), answer);
            self.lane.set_aside(&rejection)?;
            self.put_off.forget(&bad.item);
            job.bad_items.remove(0);
            job.rejected += 1;
        }
        while let Some(aside) = job.aside.as_ref().filter(|_| !job.is_done()) {
            let answer = aside.answer.clone().into();
            let rejection = rejection(job, &job.part(), aside.status, &aside.reason, answer);
            self.lane.set_aside(&rejection)?;
            job.set_aside();
        }
        Ok(())
    }

    /// Moves what is left of `job` to the end of the queue. Returns whether there was room for all of it.
    fn put_off(&self, job: &mut Job) -> bool {
        let rest = job.refused_items();
        let items: Vec<&[u8]> = rest.iter().flat_map(Batch::items).collect();
        let is_put_off = self.lane.put_off(job.key_name(), &items);
        if is_put_off {
            job.put_off = items.len() as u64;
            self.put_off.remember(&job.bad_items);
        }
        is_put_off
    }

    /// Why the rejected store can't be written, and when that is tried again, while an item waits for it.
    pub(super) fn store_trouble(&self, dispatch: &Dispatch) -> Option<(String, Instant)> {
        let trouble = dispatch.store_trouble();
        trouble.filter(|_| dispatch.has_unstored() || self.lane.has_put_off())
    }
}

/// What the rejected store is to keep of `items`, which belong to `job`.
fn rejection(job: &Job, items: &Batch, status: u16, reason: &str, answer: Vec<u8>) -> Rejection {
    Rejection {
        batch_id: job.stored.batch.id(),
        status,
        reason: reason.to_owned(),
        answer,
        key_name: items.key_name().to_owned(),
        rejected_unix_ms: now_unix_ms(),
        items: (items.first()..).zip(items.items().map(<[u8]>::to_vec)).collect(),
    }
}
