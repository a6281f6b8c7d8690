// SPDX-License-Identifier: MIT OR Apache-2.0
//! Rounds after which nothing may have gone with them, in a guest that is none.

use super::fake::{Lab, Setup, cases, comes_to, steps_of};
use base::fault::Verdict;

/// Rounds that end as they begin.
const LEVEL: &str = "
    add: { as: b }
    repeat: { times: 9, level: true, steps: [online: { block: b, zone: movable }, offline: { block: b }] }";

cases! {
    rounds_that_leave_nothing_are_level: Setup::x86(), LEVEL => Pass;
    an_object_that_each_round_leaves_fails: Setup::g1().leaves_objects(Some(1)), LEVEL
        => Fail, "what must stay goes with the rounds: objects of kmalloc-1k +1.0 a round: 101, 103, 105, 107, 109 after rounds 1, 3, 5, 7, 9";
    objects_that_each_round_loses_fail: Setup::x86().leaves_objects(Some(-2)), LEVEL => Fail, "objects of kmalloc-1k -2.0 a round";
    it_is_asked_for: Setup::x86().leaves_objects(Some(1)), &LEVEL.replace("level: true, ", "") => Pass;
    a_kernel_whose_objects_cannot_be_counted_skips: Setup::x86().leaves_objects(None), LEVEL => Skip, "needs /sys/kernel/slab";
}

#[tokio::test(start_paused = true)]
async fn a_counter_that_goes_is_in_the_record_with_its_first_and_last_reading() {
    let record = Lab::new(&steps_of(LEVEL), [Setup::x86().leaves_objects(Some(1))])
        .once()
        .await;
    comes_to(&record, Verdict::Fail, Some("goes with the rounds"));
    let [objects] = record.steps[1].mismatches.as_slice() else {
        panic!("{:?}", record.steps[1].mismatches);
    };
    assert_eq!(objects.counter, "objects of kmalloc-1k");
    assert_eq!(
        (objects.predicted.as_deref(), objects.seen.as_deref()),
        (Some("101"), Some("109"))
    );
}
