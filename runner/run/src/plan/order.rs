// SPDX-License-Identifier: MIT OR Apache-2.0
//! In which order jobs are started. Pure.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use super::reach::Turn;
use base::Arch;

/// What the order goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Queued<J> {
    /// What is started at once: a job, or those of a case that is compared.
    pub job: J,
    /// Its architecture.
    pub arch: Arch,
    /// What is of one group shares a template, or two where kernels are compared.
    pub group: usize,
    /// When it has its turn in its group; a group goes by the first of its turns.
    pub(crate) turn: Turn,
    /// How long it is expected to take.
    pub(crate) expected: Duration,
}

/// How many groups of an architecture have their first turn before any has its second: as many templates of each kernel wait for the others then.
const SAMPLED: usize = 4;

/// Puts jobs in order: the groups whose turn is first, of these the ones that take longest, and in each so the jobs; the architectures take turns by what is
/// left of them.
///
/// A group stays together, so that few templates are there at a time. But no group that reaches what is looked for waits until another is through: first
/// each of some gives the one that may show most, and of several such ones the shortest.
pub(crate) fn order<J>(waiting: Vec<Queued<J>>) -> Vec<J> {
    let mut groups: BTreeMap<(Arch, usize), VecDeque<Queued<J>>> = BTreeMap::new();
    for queued in waiting {
        groups
            .entry((queued.arch, queued.group))
            .or_default()
            .push_back(queued);
    }
    let total = |group: &VecDeque<Queued<J>>| group.iter().map(|queued| queued.expected).sum::<Duration>();
    let first_turn = |group: &VecDeque<Queued<J>>| group.front().map(|queued| queued.turn);
    let mut by_arch: BTreeMap<Arch, Vec<VecDeque<Queued<J>>>> = BTreeMap::new();
    for ((arch, _), mut group) in groups {
        group
            .make_contiguous()
            .sort_by_key(|queued| (queued.turn, Reverse(queued.expected)));
        by_arch.entry(arch).or_default().push(group);
    }
    let mut queues: Vec<(Duration, Duration, VecDeque<Queued<J>>)> = by_arch
        .into_values()
        .map(|mut groups| {
            groups.sort_by_key(|group| (first_turn(group), Reverse(total(group))));
            let all = groups.iter().map(total).sum();
            let mut queue = VecDeque::new();
            for group in groups.iter_mut().take(SAMPLED) {
                queue.extend(sample(group));
            }
            queue.extend(groups.into_iter().flatten());
            (all, all, queue)
        })
        .collect();
    let mut ordered = Vec::new();
    // The one of which the larger part is left is next: all come to their ends together.
    let share = |(all, left, _): &(Duration, Duration, VecDeque<Queued<J>>)| {
        left.as_secs_f64() / all.as_secs_f64().max(f64::MIN_POSITIVE)
    };
    while let Some((_, left, queue)) = queues
        .iter_mut()
        .filter(|(_, _, queue)| !queue.is_empty())
        .max_by(|a, b| share(a).total_cmp(&share(b)))
    {
        if let Some(queued) = queue.pop_front() {
            *left = left.saturating_sub(queued.expected);
            ordered.push(queued.job);
        }
    }
    ordered
}

/// Takes the shortest of those that have the first turn of a group, if they are known to reach what is looked for.
fn sample<J>(group: &mut VecDeque<Queued<J>>) -> Option<Queued<J>> {
    let turn = group.front()?.turn;
    if !turn.is_first() {
        return None;
    }
    let those = group.iter().take_while(|queued| queued.turn == turn);
    let (shortest, _) = those.enumerate().min_by_key(|(_, queued)| queued.expected)?;
    group.remove(shortest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn queued(job: u32, arch: Arch, group: usize, seconds: u64) -> Queued<u32> {
        Queued {
            job,
            arch,
            group,
            turn: Turn::Unknown,
            expected: Duration::from_secs(seconds),
        }
    }

    fn at(turn: Turn, queued: Queued<u32>) -> Queued<u32> {
        Queued { turn, ..queued }
    }

    #[test]
    fn a_turn_takes_its_group_along_and_keeps_the_order_within() {
        let x86 = Arch::X86_64;
        let jobs = vec![
            queued(1, x86, 0, 50),
            queued(2, x86, 0, 60),
            at(Turn::First(2), queued(3, x86, 1, 1)),
            at(Turn::Last, queued(4, x86, 1, 9)),
            at(Turn::First(2), queued(5, x86, 1, 2)),
            at(Turn::Last, queued(6, x86, 2, 70)),
            at(Turn::First(2), queued(7, x86, 3, 5)),
            at(Turn::First(7), queued(8, x86, 4, 1)),
            at(Turn::First(1), queued(9, x86, 4, 1)),
            at(Turn::Failed, queued(10, x86, 4, 1)),
        ];
        // The shortest of each that has a first turn, and then the groups.
        assert_eq!(order(jobs), [10, 3, 7, 9, 8, 5, 4, 2, 1, 6]);
    }

    #[test]
    fn only_some_groups_have_a_turn_before_the_others_are_through() {
        let of = |group: u32| {
            let job = |number| queued(group * 10 + number, Arch::S390x, group as usize, 1);
            [0, 1].map(|number| at(Turn::First(1), job(number)))
        };
        let jobs = (1..=5).flat_map(of).collect();
        assert_eq!(order(jobs), [10, 20, 30, 40, 11, 21, 31, 41, 50, 51]);
    }

    #[test]
    fn long_groups_come_first_and_stay_together() {
        let x86 = Arch::X86_64;
        let jobs = vec![
            queued(1, x86, 0, 5),
            queued(2, x86, 1, 4),
            queued(3, x86, 0, 1),
            queued(4, x86, 1, 9),
        ];
        assert_eq!(order(jobs), [4, 2, 1, 3]);
    }

    #[test]
    fn architectures_take_turns() {
        let mut jobs: Vec<_> = (0..4).map(|job| queued(job, Arch::X86_64, 0, 1)).collect();
        jobs.extend((10..12).map(|job| queued(job, Arch::S390x, 1, 2)));
        let ordered = order(jobs);
        let s390x: Vec<usize> = (0..ordered.len()).filter(|at| ordered[*at] >= 10).collect();
        assert_eq!(ordered.len(), 6);
        assert!(s390x[0] <= 1 && s390x[1] >= 2, "{ordered:?}");
    }

    proptest! {
        #[test]
        fn none_is_lost_and_none_comes_twice(
            jobs in prop::collection::vec((any::<bool>(), 0..5_usize, 0..20_u64), 0..40)
        ) {
            let waiting = jobs.iter().enumerate().map(|(at, (s390x, group, seconds))| {
                let arch = if *s390x { Arch::S390x } else { Arch::X86_64 };
                queued(at as u32, arch, *group, *seconds)
            });
            let mut ordered = order(waiting.collect());
            ordered.sort_unstable();
            prop_assert_eq!(ordered, (0..jobs.len() as u32).collect::<Vec<_>>());
        }
    }
}
